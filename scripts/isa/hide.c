/* Hides instruction sets from a program, as if the processor lacked them: preloaded, with FOVEA_ISA=avx2 or sse41.
 *
 * Linux lets a process ask that `cpuid` fault (arch_prctl), where the processor can do that. The handler here answers
 * in its place, without the bits of what is hidden. So every library in the process that looks at the processor, whether
 * it has a switch of its own or not, picks the code that an older processor would get. glibc itself looks earlier; it has
 * GLIBC_TUNABLES. Linked with -z initfirst, so that nobody in the process looks before this is in place. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(n) (1u << (n))

/* Registers of a leaf, and what is taken out of them. */
struct hidden { unsigned leaf, subleaf, eax, ebx, ecx, edx; };

static const struct hidden beyond_avx2[] = {
    /* AVX512 F DQ IFMA PF ER CD BW VL; VBMI VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ; 4VNNIW 4FMAPS
     * VP2INTERSECT AMX-BF16 AVX512-FP16 AMX-TILE AMX-INT8 */
    {7, 0, 0, BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31),
     BIT(1) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14),
     BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25)},
    /* AVX-VNNI AVX512-BF16 AMX-FP16 AVX-IFMA; AVX-VNNI-INT8 AVX-NE-CONVERT AMX-COMPLEX AVX-VNNI-INT16 AVX10 */
    {7, 1, BIT(4) | BIT(5) | BIT(21) | BIT(23), 0, 0, BIT(4) | BIT(5) | BIT(8) | BIT(10) | BIT(19)},
};
static const struct hidden beyond_sse[] = {
    /* FMA AVX F16C */
    {1, 0, 0, 0, BIT(12) | BIT(28) | BIT(29), 0},
    /* BMI1 AVX2 BMI2 */
    {7, 0, 0, BIT(3) | BIT(5) | BIT(8), 0, 0},
};
static int only_sse;

static void mask(const struct hidden *list, size_t count, unsigned leaf, unsigned subleaf, unsigned *r) {
    for (size_t i = 0; i < count; i++)
        if (list[i].leaf == leaf && (list[i].subleaf == subleaf || leaf == 1)) {
            r[0] &= ~list[i].eax;
            r[1] &= ~list[i].ebx;
            r[2] &= ~list[i].ecx;
            r[3] &= ~list[i].edx;
        }
}

static void answer(int signal_number, siginfo_t *info, void *context) {
    (void)info;
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)g[REG_RIP];
    int error = errno;
    if (at == NULL || at[0] != 0x0f || at[1] != 0xa2) {
        /* Somebody else's fault: it happens again, and ends the process. */
        struct sigaction plain;
        memset(&plain, 0, sizeof plain);
        plain.sa_handler = SIG_DFL;
        syscall(SYS_rt_sigaction, signal_number, &plain, NULL, 8);
        return;
    }
    unsigned leaf = (unsigned)g[REG_RAX], subleaf = (unsigned)g[REG_RCX], r[4];
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1UL);
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(subleaf));
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0UL);
    mask(beyond_avx2, sizeof beyond_avx2 / sizeof *beyond_avx2, leaf, subleaf, r);
    if (only_sse)
        mask(beyond_sse, sizeof beyond_sse / sizeof *beyond_sse, leaf, subleaf, r);
    g[REG_RAX] = r[0];
    g[REG_RBX] = r[1];
    g[REG_RCX] = r[2];
    g[REG_RDX] = r[3];
    g[REG_RIP] += 2;
    errno = error;
}

typedef int (*set_action)(int, const struct sigaction *, struct sigaction *);

/* Rust and others put a handler of their own on SIGSEGV, to tell of stack overflows; here they do without. */
int sigaction(int number, const struct sigaction *action, struct sigaction *old) {
    static set_action next;
    if (next == NULL)
        next = (set_action)dlsym(RTLD_NEXT, "sigaction");
    return next(number, number == SIGSEGV ? NULL : action, old);
}

static void fail(const char *why) {
    syscall(SYS_write, 2, why, strlen(why));
    syscall(SYS_exit_group, 3);
}

/* The C library is not ready yet: the environment comes as an argument, and errors are written without stdio. */
__attribute__((constructor)) static void begin(int count, char **arguments, char **environment) {
    (void)count;
    (void)arguments;
    const char *isa = NULL;
    for (; environment != NULL && *environment != NULL; environment++)
        if (strncmp(*environment, "FOVEA_ISA=", 10) == 0)
            isa = *environment + 10;
    if (isa == NULL || *isa == 0)
        return;
    only_sse = strcmp(isa, "sse41") == 0;
    if (!only_sse && strcmp(isa, "avx2") != 0)
        fail("FOVEA_ISA has to be avx2 or sse41\n");
    struct sigaction mine;
    memset(&mine, 0, sizeof mine);
    mine.sa_sigaction = answer;
    mine.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    set_action real = (set_action)dlsym(RTLD_NEXT, "sigaction");
    if (real == NULL || real(SIGSEGV, &mine, NULL) != 0 || syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0UL) != 0) 
        fail("this processor or kernel cannot hide instruction sets (arch_prctl ARCH_SET_CPUID)\n");
}
