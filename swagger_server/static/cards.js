/**
 * The cards under the map: what the service told about a city, a country and what is near, as elements.
 * Places are links to their own view of this page (#city=…, #country=…).
 */

import { el } from "./dom.js";
import { bearing } from "./geo.js";
import { coordinates, direction, km, localTime, region, whole } from "./format.js";

const MANY = 12;

/** Address of the view of a city and of a country. */
export const cityLink = (id) => `#city=${id}`;
export const countryLink = (iso2) => `#country=${iso2}`;

/** A card with a heading; `name` is its class. */
export function card(name, title, ...content) {
  return el("article", { class: `card panel ${name}`, "aria-labelledby": `card-${name}` },
    el("h3", { id: `card-${name}` }, title), ...content);
}

export function cityFacts(city) {
  const time = localTime(city.timezone.name);
  return [
    facts([
      ["Population", whole(city.population)],
      ["Region", city.subdivision?.name],
      ["Country", el("a", { href: countryLink(city.country.iso2) }, city.country.name)],
      ["Local time", time && `${time} (UTC${city.timezone.utc_offset})`],
      ["Timezone", city.timezone.name],
      ["Position", coordinates(city.lat, city.lon)],
      ["GeoNames", el("a", { href: `https://www.geonames.org/${city.id}` }, String(city.id))],
    ]),
    alternateNames(city.alternate_names),
  ];
}

export function countryFacts(country) {
  const { capital, currency } = country;
  return [
    facts([
      ["Capital", capital && el("a", { href: cityLink(capital.id) }, capital.name)],
      ["Continent", country.continent.name],
      ["Population", whole(country.population)],
      ["Area", `${whole(country.area_km2)} km²`],
      ["Currency", currency && `${currency.name} (${currency.code})`],
      ["Languages", languages(country.languages)],
      ["Dialling code", country.dialling_code && `+${country.dialling_code.replace(/^\+/, "")}`],
      ["Domain", country.tld],
      ["Codes", `${country.iso2}, ${country.iso3}`],
    ]),
    neighbours(country),
  ];
}

/** Airports, the nearest first, with how far and in which direction from `city`. */
export function airportList(city, airports) {
  if (!airports.length) return el("p", { class: "muted" }, "None is known.");
  return el("ol", { class: "places" }, airports.map((airport) => el("li", {},
    el("span", { class: "code" }, airport.iata ?? airport.icao),
    el("span", { class: "place-name" }, airport.name, el("small", {}, airport.city ?? "")),
    distance(city, airport))));
}

/** Cities near `city`, the nearest first. */
export function nearList(city, cities) {
  return el("ol", { class: "places" }, cities.map((near) => el("li", {},
    placeName(near),
    distance(city, near))));
}

/** Cities with their population. */
export function largestList(cities) {
  if (!cities.length) return el("p", { class: "muted" }, "None is large enough to be listed.");
  return el("ol", { class: "places" }, cities.map((city) => el("li", {},
    placeName(city),
    el("span", { class: "distance" }, whole(city.population)))));
}

function placeName(city) {
  return el("span", { class: "place-name" }, el("a", { href: cityLink(city.id) }, city.name), el("small", {}, region(city)));
}

function distance(from, place) {
  return el("span", { class: "distance" }, km(place.distance_km), el("small", {}, direction(bearing(from, place))));
}

function facts(pairs) {
  const known = pairs.filter(([, value]) => value);
  return el("dl", { class: "facts" }, known.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function alternateNames(names) {
  if (!names.length) return null;
  const rest = names.length > MANY ? ` and ${names.length - MANY} more` : "";
  return el("div", {}, el("h4", {}, "Other names"), el("p", {}, names.slice(0, MANY).join(" · ") + rest));
}

function languages(spoken) {
  return [...new Set(spoken.map(({ name, tag }) => name ?? tag))].join(", ");
}

function neighbours({ neighbours: countries }) {
  if (!countries.length) return el("p", { class: "muted" }, "No neighbours by land.");
  return el("div", {}, el("h4", {}, "Neighbours"), el("ul", { class: "chips" },
    countries.map(({ iso2, name }) => el("li", {}, el("a", { class: "chip", href: countryLink(iso2) }, name)))));
}
