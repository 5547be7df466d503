/**
 * Making elements. Text is always set as text, never as markup, so nothing that the service answers can be code.
 */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. Attributes that are null, undefined or false are left out; children may be strings. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element, in the same way. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** A box that says what went wrong and, for support, under which request id; `retry` adds a button. */
export function errorBox(error, retry) {
  const box = el("div", { class: "error", role: "alert" }, el("p", {}, error.message));
  if (error.requestId) box.append(el("p", { class: "request-id" }, `Request id ${error.requestId}`));
  if (retry) {
    const button = el("button", { type: "button" }, "Try again");
    button.addEventListener("click", retry);
    box.append(button);
  }
  return box;
}
