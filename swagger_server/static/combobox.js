/**
 * An input that suggests while somebody types: the editable combobox of the ARIA Authoring Practices. Focus stays in the
 * input; arrow keys move through the list, Enter picks (the first where none is chosen), Escape closes, then clears.
 * Knows nothing of cities.
 */

const TYPING_PAUSE_MS = 120;

export class Combobox {
  #input;
  #list;
  #options;
  #hits = [];
  #listed = "";
  #active = -1;
  #timer = 0;
  #asking = null;
  #pickFirst = false;
  #keys = {
    ArrowDown: () => this.#move(1),
    ArrowUp: () => this.#move(-1),
    Enter: () => this.#enter(),
    Escape: () => this.#escape(),
  };

  /**
   * `options.search(text, signal)` gives a promise of hits; `options.option(hit)` the nodes of one; `options.pick(hit)`
   * is told the choice; `options.found(hits, text)` and `options.failed(error)` are told how a search ended and
   * `options.idle()` that there is none.
   */
  constructor(input, list, options) {
    this.#input = input;
    this.#list = list;
    this.#options = options;
    input.addEventListener("input", () => this.#typed());
    input.addEventListener("keydown", (event) => this.#pressed(event));
    input.addEventListener("focus", () => input.select());
    input.addEventListener("blur", () => this.#dismiss());
    // The input would lose focus, and with it the list, before the click arrives.
    list.addEventListener("mousedown", (event) => event.preventDefault());
    list.addEventListener("click", (event) => this.#clicked(event));
  }

  /** Write `text` into the input without searching for it. */
  set value(text) {
    this.#dismiss();
    this.#input.value = text;
  }

  #typed() {
    this.#forget();
    this.#options.idle();
    if (this.#text()) this.#timer = setTimeout(() => this.#search(), TYPING_PAUSE_MS);
    else this.#close();
  }

  // From here on no earlier answer may arrive: it would be a list for other words.
  #forget() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#asking = null;
    this.#pickFirst = false;
  }

  #dismiss() {
    this.#forget();
    this.#close();
  }

  async #search() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    try {
      const text = this.#text();
      const hits = await this.#options.search(text, asking.signal);
      if (!asking.signal.aborted) this.#arrived(hits, text);
    } catch (error) {
      if (!asking.signal.aborted) this.#failed(error);
    }
  }

  #arrived(hits, text) {
    this.#asking = null;
    if (this.#pickFirst && hits.length) this.#choose(hits[0]);
    else this.#open(hits, text);
  }

  #failed(error) {
    this.#dismiss();
    this.#options.failed(error);
  }

  #open(hits, text) {
    this.#hits = hits;
    this.#listed = text;
    this.#list.replaceChildren(...hits.map((hit, index) => this.#element(hit, index)));
    this.#expand(hits.length > 0);
    this.#activate(-1);
    this.#options.found(hits, text);
  }

  #element(hit, index) {
    const element = document.createElement("li");
    element.id = `${this.#list.id}-${index}`;
    element.setAttribute("role", "option");
    element.setAttribute("aria-selected", "false");
    element.append(...this.#options.option(hit));
    return element;
  }

  #close() {
    this.#expand(false);
    this.#activate(-1);
  }

  #expand(open) {
    this.#list.hidden = !open;
    this.#input.setAttribute("aria-expanded", String(open));
  }

  #activate(index) {
    this.#active = index;
    for (const [position, element] of [...this.#list.children].entries()) {
      element.setAttribute("aria-selected", String(position === index));
    }
    const element = this.#list.children[index];
    if (element) this.#input.setAttribute("aria-activedescendant", element.id);
    else this.#input.removeAttribute("aria-activedescendant");
    element?.scrollIntoView({ block: "nearest" });
  }

  #pressed(event) {
    const action = this.#keys[event.key];
    // While an input method composes, its keys are its own.
    if (!action || event.isComposing) return;
    event.preventDefault();
    action();
  }

  // One step beyond either end is the input itself, where nothing is chosen.
  #move(step) {
    if (this.#list.hidden) {
      if (this.#text()) this.#search();
      return;
    }
    const places = this.#hits.length + 1;
    this.#activate(((this.#active + 1 + step + places) % places) - 1);
  }

  // A list may still be that of fewer letters: unless a hit was chosen by hand, the words in the input count.
  #enter() {
    const current = !this.#list.hidden && this.#listed === this.#text();
    if (!this.#list.hidden && this.#active >= 0) this.#choose(this.#hits[this.#active]);
    else if (current) this.#choose(this.#hits[0]);
    else if (this.#text()) this.#searchAndPick();
  }

  #searchAndPick() {
    this.#search();
    this.#pickFirst = true;
  }

  #escape() {
    if (this.#list.hidden) this.#input.value = "";
    this.#dismiss();
    this.#options.idle();
  }

  #clicked(event) {
    const index = [...this.#list.children].indexOf(event.target.closest("[role=option]"));
    if (index >= 0) this.#choose(this.#hits[index]);
  }

  #choose(hit) {
    this.#dismiss();
    this.#options.pick(hit);
  }

  #text() {
    return this.#input.value.trim();
  }
}
