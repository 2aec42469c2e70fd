// Starts the viewer. It is told where this server's description lies, and asks nobody else, as the page's policy has it.

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#viewer",
  deepLinking: true, // an operation that is opened has an address
  displayRequestDuration: true,
  validatorUrl: null, // would send the description elsewhere to be checked
});

// Swagger UI has a dark style, and leaves it to the page to choose.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();
