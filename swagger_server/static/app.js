/**
 * The page: wires search, map, cards and examples together, and keeps the address in step (#city=…, #country=…).
 *
 * Uses nothing but the public JSON of the service. Where the service is: see `base` in api.js.
 */

import { address, base, getJson, isAbort, pages } from "./api.js";
import { aroundPlan } from "./around.js";
import { airportList, card, cityFacts, cityLink, countryFacts, largestList, nearList } from "./cards.js";
import { Combobox } from "./combobox.js";
import { el, errorBox } from "./dom.js";
import { Explorer } from "./explorer.js";
import { coordinates, km, region, whole } from "./format.js";
import { WorldMap } from "./worldmap.js";

const HITS = 8;
const LAND_PAGES = 20;
const PAGE = 100;
const AIRPORTS = 8;
const NEAR = 9;
const LARGE = 100000;
const LARGEST = 10;

const byId = (id) => document.getElementById(id);
const input = byId("city-input");
const results = byId("results");
const title = byId("place-title");
const detail = byId("place-detail");
const home = { title: title.textContent, detail: detail.textContent, document: document.title };

const map = new WorldMap(byId("world"), goToNearest);
const search = new Combobox(input, byId("city-list"), {
  search: findCities,
  option: hitNodes,
  pick: (hit) => {
    input.value = hit.name;
    location.hash = cityLink(hit.id);
  },
  found: (hits, text) => say("search-status", foundWords(hits, text)),
  failed: (error) => byId("search-status").replaceChildren(errorBox(error)),
  idle: () => say("search-status", ""),
});

let view = new AbortController();

start();

function start() {
  pointLinksToService();
  new Explorer({
    form: byId("request-form"),
    input: byId("request-path"),
    examples: byId("examples"),
    answer: byId("answer"),
    status: byId("answer-status"),
    body: byId("answer-body"),
  });
  addEventListener("hashchange", () => route(true));
  route(false);
  drawLand();
  showSources();
}

// The links work without this where the page is the service's own.
function pointLinksToService() {
  for (const link of document.querySelectorAll("[data-service]")) {
    link.dataset.path = link.getAttribute("href");
    link.href = address(link.dataset.path);
  }
}

function say(id, text) {
  byId(id).textContent = text;
}

// Search

async function findCities(text, signal) {
  const { items, next } = await getJson(address("v1/cities", { q: text, limit: HITS }), signal);
  return Object.assign(items, { more: next !== null });
}

function hitNodes(hit) {
  const other = hit.matched_name && hit.matched_name !== hit.name ? `“${hit.matched_name}”` : "";
  return [
    el("span", { class: "hit-name" }, hit.name, other && el("small", {}, other)),
    el("span", { class: "hit-region" }, region(hit)),
  ];
}

function foundWords(hits, text) {
  if (!hits.length) return `No city fits “${text}”.`;
  if (hits.length === 1) return "1 city. Press Enter to see it.";
  return `${hits.more ? `The first ${hits.length} cities` : `${hits.length} cities`}. Use the arrow keys to choose.`;
}

async function goToNearest({ lat, lon }) {
  try {
    const { items } = await getJson(address("v1/cities/nearest", { lat, lon, limit: 1 }));
    if (items.length) location.hash = cityLink(items[0].id);
  } catch (error) {
    openCards([errorBox(error)]);
  }
}

// Views

/** Show what the address asks for. `moved` is false for the first view, which leaves the focus where it is. */
function route(moved) {
  const [, kind, key] = /^#(city|country)=([\w-]+)$/.exec(location.hash) ?? [];
  // Other fragments are places on this page.
  if (!kind && location.hash) return;
  view.abort();
  view = new AbortController();
  if (!kind) showHome();
  else show(kind === "city" ? showCity : showCountry, key, moved);
}

function showHome() {
  results.hidden = byId("legend").hidden = true;
  results.replaceChildren();
  map.mark(null);
  map.highlight([]);
  head(home.title, home.detail);
  document.title = home.document;
}

async function show(fill, key, moved) {
  const { signal } = view;
  const fromLink = moved && document.activeElement !== input;
  results.setAttribute("aria-busy", "true");
  try {
    await fill(key, signal);
    if (fromLink) title.focus();
  } catch (error) {
    if (signal.aborted) return;
    failed(error, () => show(fill, key, moved));
  }
  results.setAttribute("aria-busy", "false");
}

function failed(error, retry) {
  if (isAbort(error)) return;
  map.mark(null);
  map.highlight([]);
  head(error.status === 404 ? "There is no such place" : "This place cannot be shown", "");
  openCards([errorBox(error, error.status === 404 ? null : retry)]);
  byId("legend").hidden = true;
}

function head(text, more) {
  title.textContent = text;
  detail.textContent = more;
  document.title = `${text} · ${home.document}`;
}

async function showCity(id, signal) {
  const city = await getJson(address(`v1/cities/${id}`), signal);
  if (document.activeElement !== input) search.value = city.name;
  head(city.name, [region(city), capitalWords(city), coordinates(city.lat, city.lon)].filter(Boolean).join(" · "));
  map.mark(city);
  map.highlight([]);
  const near = nearby(city, signal);
  openCards([
    card("city", city.name, ...cityFacts(city).filter(Boolean)),
    pending("around", `Around ${city.name}`, near.then(({ airports, cities }) => [aroundPlan(city, airports, cities)]), signal),
    pending("airports", "Nearest airports", near.then(({ airports }) => [airportList(city, airports)]), signal),
    countryCard(city.country.iso2, city.country.name, signal),
    pending("near", "Nearest large cities", near.then(({ cities }) => [nearList(city, cities)]), signal),
  ]);
  near.then(({ airports }) => signal.aborted || announce(city, airports), () => {});
  highlightCountry(countryCities(city.country.iso2, signal));
}

async function showCountry(code, signal) {
  const country = await getJson(address(`v1/countries/${code}`), signal);
  head(country.name, [country.continent.name, `${whole(country.population)} people`].join(" · "));
  if (document.activeElement !== input) search.value = "";
  map.mark(null);
  const cities = countryCities(country.iso2, signal);
  highlightCountry(cities);
  openCards([
    card("country", country.name, ...countryFacts(country)),
    pending("largest", "Largest cities", cities.then((items) => [largestList(items.slice(0, LARGEST))]), signal),
  ]);
  say("place-status", `${country.name} is shown.`);
}

function openCards(cards) {
  results.replaceChildren(...cards);
  results.hidden = byId("legend").hidden = false;
}

const capitalWords = (city) => city.capital_of && `capital of ${city.country.name}`;

function countryCard(iso2, name, signal) {
  const facts = getJson(address(`v1/countries/${iso2}`), signal).then(countryFacts);
  return pending("country", name, facts, signal);
}

async function nearby(city, signal) {
  const { lat, lon } = city;
  const [airports, cities] = await Promise.all([
    getJson(address("v1/airports/nearest", { lat, lon, has_iata: true, limit: AIRPORTS }), signal),
    getJson(address("v1/cities/nearest", { lat, lon, min_population: LARGE, limit: NEAR }), signal),
  ]);
  map.mark(city, airports.items);
  return { airports: airports.items, cities: cities.items.filter(({ id }) => id !== city.id) };
}

async function countryCities(iso2, signal) {
  const { items } = await getJson(address(`v1/countries/${iso2}/cities`, { limit: PAGE }), signal);
  return items;
}

// Only colour depends on it, so a failure is none.
function highlightCountry(cities) {
  cities.then((items) => map.highlight(items), () => {});
}

function announce(city, airports) {
  const nearest = airports.length ? ` The nearest airport is ${airports[0].name}, ${km(airports[0].distance_km)} away.` : "";
  say("place-status", `${city.label} is shown.${nearest}`);
}

/** A card that waits for its content and tells what went wrong if it does not come. */
function pending(name, heading, content, signal) {
  const box = card(name, heading, el("p", { class: "muted loading" }, "Loading …"));
  const fill = (nodes) => box.replaceChildren(box.firstChild, ...nodes.filter(Boolean));
  content.then(fill, (error) => signal.aborted || fill([errorBox(error)]));
  return box;
}

// Background

async function drawLand() {
  try {
    for await (const cities of pages(address("v1/cities", { limit: PAGE }), LAND_PAGES)) map.addLand(cities);
  } catch (error) {
    if (results.hidden) openCards([errorBox(error, () => location.reload())]);
  }
}

async function showSources() {
  try {
    const { sources } = await getJson(address("v1/about"));
    const rows = (name) => sources.find((source) => source.name === name)?.rows;
    if (rows("cities") && rows("airports")) say("size", `${whole(rows("cities"))} cities, ${whole(rows("airports"))} airports.`);
    byId("sources").replaceChildren(...creditsOf(sources));
  } catch {
    // The words that the page came with stay: attribution never disappears.
  }
}

// Several tables may come from one source, which is to be named once.
function creditsOf(sources) {
  const unique = new Map(sources.map(({ attribution, url }) => [attribution, url]));
  return [...unique].map(([attribution, url]) =>
    el("li", {}, /^https?:/.test(url) ? el("a", { href: url }, attribution) : attribution));
}
