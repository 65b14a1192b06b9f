// Draws /v1/openapi.json as a page: operations by tag, then the shapes they take and give.

const make = (name, text, ...children) => {
  const node = document.createElement(name);
  if (text) node.textContent = text;
  node.append(...children);
  return node;
};
const styled = (name, style, text) => {
  const node = make(name, text);
  node.className = style;
  return node;
};

const shape_of = (schema) => {
  if (!schema || Object.keys(schema).length === 0) return make("code", "anything");
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    const link = make("a", name);
    link.href = `#shape-${name}`;
    return link;
  }
  if (schema.anyOf) return make("span", "", ...joined(schema.anyOf.map(shape_of), " or "));
  if (schema.enum) return make("code", schema.enum.map((value) => JSON.stringify(value)).join(" | "));
  if (schema.type === "array") {
    const items = schema.items ? shape_of(schema.items) : make("code", "anything");
    return make("span", "list of ", items);
  }
  const limits = ["format", "pattern", "minLength", "maxLength", "minimum", "maximum"]
    .filter((name) => schema[name] !== undefined)
    .map((name) => `${name} ${schema[name]}`);
  const type = Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type;
  return make("code", [type ?? "anything", ...limits].join(", "));
};
const joined = (nodes, between) => nodes.flatMap((node, at) => (at ? [between, node] : [node]));

const table_of = (titles, rows) => {
  const head = make("tr", "", ...titles.map((title) => make("th", title)));
  const body = rows.map((cells) => make("tr", "", ...cells.map((cell) => make("td", "", cell))));
  return make("table", "", make("thead", "", head), make("tbody", "", ...body));
};

const operation_of = (path, method, operation) => {
  const parts = [make("p", operation.description || operation.summary)];
  if (operation.parameters?.length) {
    parts.push(table_of(["Parameter", "In", "Form", "Meaning"], operation.parameters.map((parameter) => [
      make("code", parameter.name + (parameter.required ? " *" : "")), parameter.in, shape_of(parameter.schema),
      parameter.description ?? "",
    ])));
  }
  const body = operation.requestBody?.content["application/json"].schema;
  if (body) parts.push(make("p", "Body: ", shape_of(body)));
  parts.push(table_of(["Answer", "Meaning", "Form"], Object.entries(operation.responses).map(([status, answer]) => [
    make("code", status), answer.description,
    answer.content ? shape_of(Object.values(answer.content)[0].schema) : "",
  ])));
  const summary = make("summary", "", styled("span", "method", method.toUpperCase()), styled("span", "path", path),
    " ", styled("span", "what", operation.summary));
  const details = make("details", "", summary, ...parts);
  details.dataset.words = `${method} ${path} ${operation.summary}`.toLowerCase();
  return details;
};

const shape_section = (name, schema) => {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([field, of]) => [
    make("code", field + (required.has(field) ? " *" : "")), shape_of(of),
    of.default === undefined ? "" : make("code", JSON.stringify(of.default)),
  ]);
  const summary = make("summary", "", styled("span", "path", name));
  const details = make("details", "", summary, make("p", schema.description ?? ""),
    rows.length ? table_of(["Field", "Form", "Left out"], rows) : shape_of(schema));
  details.id = `shape-${name}`;
  details.dataset.words = name.toLowerCase();
  return details;
};

const draw = (description) => {
  const page = document.getElementById("reference");
  const by_tag = new Map();
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags?.[0] ?? "other";
      by_tag.set(tag, [...(by_tag.get(tag) ?? []), operation_of(path, method, operation)]);
    }
  }
  page.replaceChildren(make("p", description.info.description));
  for (const [tag, operations] of [...by_tag].sort()) page.append(make("h2", tag), ...operations);
  page.append(make("h2", "Shapes"), ...Object.entries(description.components.schemas).sort()
    .map(([name, schema]) => shape_section(name, schema)));
  page.removeAttribute("aria-busy");
};

const open_target = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
  target?.scrollIntoView();
};

const answer = await fetch("/v1/openapi.json");
if (answer.ok) {
  draw(await answer.json());
  addEventListener("hashchange", open_target);
  open_target();
  document.getElementById("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const details of document.querySelectorAll("details")) details.hidden = !details.dataset.words.includes(wanted);
  });
} else {
  document.getElementById("reference").textContent = `The description could not be read (${answer.status}). Load the page again.`;
}
