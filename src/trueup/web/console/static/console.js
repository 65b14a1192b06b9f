// What every page does: one submission per click, and addresses without empty parameters.

const submitted = new WeakSet();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") {
    if (form.hasAttribute("hx-get")) return;
    for (const field of form.elements) {
      if (field.name && field.value === "") field.disabled = true;
    }
    return;
  }
  if (submitted.has(form)) {
    event.preventDefault();
    return;
  }
  submitted.add(form);
  for (const button of form.querySelectorAll("button[type=submit]")) {
    button.setAttribute("aria-disabled", "true");
  }
});

// A page that comes back from the browser's cache may be used again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});

document.addEventListener("htmx:configRequest", (event) => {
  const parameters = event.detail.parameters;
  for (const name of [...Object.keys(parameters)]) {
    if (parameters[name] === "") delete parameters[name];
  }
});

document.addEventListener("htmx:beforeRequest", (event) => event.detail.target.classList.add("swapping"));
document.addEventListener("htmx:afterRequest", (event) => event.detail.target.classList.remove("swapping"));
// What a filter asked for was refused: show the page that says why. What refreshes by itself just tries again later.
document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.target.id !== "live") window.location.assign(event.detail.pathInfo.finalRequestPath);
});
