/* OpenVINO's library for ONNX Runtime, on a processor of any maker: for tests only.
 *
 * The library asks ONNX Runtime for the maker of each device and takes Intel's alone, though its kernels run on every x86-64
 * processor. This one stands in its place: it opens the library that FOVEA_OPENVINO_BEHIND names and hands it ONNX Runtime's table of
 * functions with another answer to that one question. Nothing else is changed.
 *
 * The table only ever grows at its end, so that the places below stay what they are. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of version 31 of the table: how many functions it has, and which one tells the maker (HardwareDevice_VendorId). */
enum { FUNCTIONS = 428, MAKER = 308 };
/* Intel, among makers of PCI devices. */
#define INTEL 0x8086u

typedef void (*function)(void);
struct base {
    const function *(*table)(uint32_t version);
    const char *(*version)(void);
};
typedef void *create(const char *, const struct base *, const void *, void **, size_t, size_t *);
typedef void *release(void *);

static const struct base *onnxruntime;
static function functions[FUNCTIONS];

static uint32_t maker(const void *device) {
    (void)device;
    return INTEL;
}

static const function *table(uint32_t version) {
    const function *all = onnxruntime->table(version);
    if (all == NULL) return NULL;
    memcpy(functions, all, sizeof functions);
    functions[MAKER] = (function)maker;
    return functions;
}

static const char *version(void) { return onnxruntime->version(); }

static function find(const char *name) {
    static void *library;
    const char *path = getenv("FOVEA_OPENVINO_BEHIND");
    if (library == NULL) library = dlopen(path ? path : "", RTLD_NOW | RTLD_LOCAL);
    function found = library ? (function)dlsym(library, name) : NULL;
    if (found == NULL) {
        fprintf(stderr, "any: FOVEA_OPENVINO_BEHIND is no library of OpenVINO's: %s\n", dlerror());
        abort();
    }
    return found;
}

void *CreateEpFactories(const char *name, const struct base *base, const void *logger, void **made, size_t most, size_t *count) {
    static const struct base ours = {table, version};
    onnxruntime = base;
    return ((create *)find(__func__))(name, &ours, logger, made, most, count);
}

void *ReleaseEpFactory(void *made) { return ((release *)find(__func__))(made); }
