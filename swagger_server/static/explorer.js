/**
 * "What there is to try": sends a request and shows the answer as it came, with status, headers and time.
 */

import { address, base, exchange } from "./api.js";
import { el, errorBox } from "./dom.js";

const HEADERS = ["Content-Type", "X-Request-ID", "Server-Timing", "ETag", "Cache-Control", "Link"];

export class Explorer {
  #input;
  #answer;
  #status;
  #body;
  #latest = 0;

  /** Brings to life the form with its input, the example links, and the section that holds a status and a body. */
  constructor({ form, input, examples, answer, status, body }) {
    this.#input = input;
    this.#answer = answer;
    this.#status = status;
    this.#body = body;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    examples.addEventListener("click", (event) => this.#chosen(event));
  }

  #chosen(event) {
    const link = event.target.closest("[data-example]");
    if (!link || opensElsewhere(event)) return;
    event.preventDefault();
    this.#input.value = link.dataset.path;
    this.#send();
  }

  async #send() {
    const mine = ++this.#latest;
    this.#answer.setAttribute("aria-busy", "true");
    const shown = await answered(within(this.#input.value)).catch((error) => ({ status: [], body: [errorBox(error)] }));
    // Only the last request that was sent may answer.
    if (mine !== this.#latest) return;
    this.#status.replaceChildren(...shown.status);
    this.#body.replaceChildren(...shown.body);
    this.#answer.setAttribute("aria-busy", "false");
    this.#answer.scrollIntoView({ block: "nearest" });
  }
}

const opensElsewhere = (event) => event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;

// A path may not lead to another host than the service's.
function within(path) {
  const relative = path.trim().replace(/^\/+/, "");
  const url = URL.canParse(relative, base) ? address(relative) : null;
  return url?.origin === base.origin ? url : null;
}

async function answered(url) {
  if (!url) throw new Error(`Only paths of ${base.host} can be asked for.`);
  const { response, text, milliseconds } = await exchange(url);
  return {
    status: statusLine(response, milliseconds, url),
    body: [headerList(response.headers), el("pre", { tabindex: "0", role: "region", "aria-label": "Body" }, pretty(text))],
  };
}

function statusLine(response, milliseconds, url) {
  const words = `${response.status} ${response.statusText}`.trim();
  return [
    el("strong", { class: response.ok ? "good" : "bad" }, words),
    ` in ${Math.max(1, Math.round(milliseconds))} ms `,
    el("a", { href: url, "aria-label": "Open the answer by itself" }, "open"),
  ];
}

function headerList(headers) {
  const shown = HEADERS.filter((name) => headers.has(name));
  return el("dl", { class: "headers" }, shown.map((name) => el("div", {}, el("dt", {}, name), el("dd", {}, headers.get(name)))));
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
