// A one-time link's page does nothing until it is submitted, so that a preview of the link does not use it up.

const form = document.querySelector("form[data-submit-at-once]");
if (form) form.requestSubmit();
