/**
 * The world as an equirectangular SVG: one user unit is a degree, north is up. There is no coastline; the dots of
 * the largest cities draw the continents. All dots of a kind are one path of zero-length lines with round ends:
 * a thousand of them cost one element, and they keep their size on any screen.
 */

import { svg } from "./dom.js";
import { coordinates } from "./format.js";

const SIZES = [["large", 5e6], ["middle", 1.5e6], ["small", 0]];
const KINDS = ["country", "airports", "pulse", "city"];

export class WorldMap {
  #svg;
  #paths = {};

  /** Draws into an empty `<svg>`; `onPoint({lat, lon})` is told where somebody clicks. */
  constructor(element, onPoint) {
    this.#svg = element;
    element.append(...graticule());
    for (const name of [...SIZES.map(([size]) => size).reverse(), ...KINDS]) this.#add(name);
    element.addEventListener("click", (event) => onPoint(this.#point(event)));
  }

  /** Add cities to the background that stands for land. */
  addLand(cities) {
    for (const [name] of SIZES) {
      const path = this.#paths[name];
      const fitting = cities.filter((city) => sizeOf(city) === name);
      path.setAttribute("d", (path.getAttribute("d") ?? "") + dots(fitting));
    }
  }

  /** Mark a city, or none if it is null, and the airports around it. */
  mark(city, airports = []) {
    const path = city ? dots([city]) : "";
    this.#paths.city.setAttribute("d", path);
    this.#paths.pulse.setAttribute("d", path);
    this.#paths.airports.setAttribute("d", dots(airports));
    const marked = city ? ` Marked: ${city.name} at ${coordinates(city.lat, city.lon)}.` : "";
    this.#svg.setAttribute("aria-label", `World map.${marked}`);
  }

  /** Bring out the cities of a country. */
  highlight(cities) {
    this.#paths.country.setAttribute("d", dots(cities));
  }

  #add(name) {
    this.#paths[name] = svg("path", { class: `dots ${name}` });
    this.#svg.append(this.#paths[name]);
  }

  #point(event) {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.#svg.getScreenCTM().inverse());
    return { lat: clamp(-y, 90), lon: clamp(x, 180) };
  }
}

const sizeOf = (city) => SIZES.find(([, population]) => city.population >= population)[0];

const dots = (places) => places.map(({ lat, lon }) => `M${lon.toFixed(2)} ${(-lat).toFixed(2)}h.01`).join("");

const clamp = (value, limit) => Math.round(Math.min(limit, Math.max(-limit, value)) * 1e4) / 1e4;

function graticule() {
  const meridians = range(-150, 150).map((lon) => `M${lon} -90v180`);
  const parallels = range(-60, 60).map((lat) => `M-180 ${lat}h360`);
  return [svg("path", { class: "graticule", d: [...meridians, ...parallels].join("") }), svg("path", { class: "equator", d: "M-180 0h360" })];
}

function range(first, last) {
  return Array.from({ length: (last - first) / 30 + 1 }, (_, step) => first + step * 30);
}
