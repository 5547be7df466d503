/**
 * What lies around a city, as a plan centred on it: distance and bearing are right, rings tell how far. The lists
 * beside it say the same in words, so to a screen reader it is one picture.
 */

import { svg } from "./dom.js";
import { plan, roundUp } from "./geo.js";
import { km } from "./format.js";

const RADIUS = 100;
const LETTER = 4.6;
const LINE = 9;

/** An `<svg>` of `city` with `airports` and those of `cities` that are no farther away; each has its distance_km. */
export function aroundPlan(city, airports, allCities) {
  const reach = Math.max(1, ...airports.map((airport) => airport.distance_km));
  const cities = allCities.filter((near) => near.distance_km <= reach);
  const step = roundUp(reach / 4.5);
  const scale = RADIUS / Math.max(reach * 1.06, step);
  const rings = ringsOf(step, scale);
  const spots = [
    ...airports.map((airport) => spot("airport", airport.iata ?? airport.icao, city, airport, scale)),
    ...cities.map((near) => spot("town", near.name, city, near, scale)),
  ];
  const label = `Plan of ${city.name} with ${airports.length} airports and ${cities.length} cities within ${km(reach)}`;
  return svg("svg", { class: "around", viewBox: "-112 -112 224 224", role: "img", "aria-label": label },
    rings.map(({ radius }) => svg("circle", { class: "ring", r: radius })),
    spots.map(drawn),
    svg("circle", { class: "centre", r: 4 }),
    rings.map(({ radius, words }) => svg("text", { class: "ring-label", y: radius + 2.5 }, words)),
    labels(spots, rings));
}

function ringsOf(step, scale) {
  const count = Math.floor(RADIUS / (step * scale));
  return Array.from({ length: count }, (_, index) => (index + 1) * step)
    .map((distance) => ({ radius: distance * scale, words: km(distance) }));
}

function spot(kind, name, city, place, scale) {
  const { x, y } = plan(city, place);
  return { kind, name, x: x * scale, y: y * scale };
}

function drawn({ kind, x, y }) {
  if (kind === "town") return svg("circle", { class: kind, cx: x, cy: y, r: 2 });
  return svg("path", { class: kind, d: `M${x} ${y - 4.5}l4.5 4.5-4.5 4.5-4.5-4.5z` });
}

// Labels are set one after another, airports first; one that finds no free side of its spot is left out.
function labels(spots, rings) {
  const taken = [
    boxAround(0, 0, 5, 5),
    ...spots.map(({ x, y }) => boxAround(x, y, 4, 4)),
    ...rings.map(({ radius, words }) => boxAround(0, radius, (words.length * LETTER) / 2, 4)),
  ];
  return spots.flatMap((place) => {
    const side = sides(place).find(({ box }) => inside(box) && !taken.some((other) => overlap(box, other)));
    if (!side) return [];
    taken.push(side.box);
    return [svg("text", { class: `label ${place.kind}`, x: side.x, y: side.y, "text-anchor": side.anchor }, place.name)];
  });
}

const boxAround = (x, y, width, height) => ({ left: x - width, right: x + width, top: y - height, bottom: y + height });

function sides({ name, x, y }) {
  const width = name.length * LETTER;
  return [
    { anchor: "start", x: x + 6, y: y + 3, left: x + 5 },
    { anchor: "end", x: x - 6, y: y + 3, left: x - 5 - width },
    { anchor: "middle", x, y: y - 7, left: x - width / 2 },
    { anchor: "middle", x, y: y + 13, left: x - width / 2 },
  ].map((side) => ({ ...side, box: { left: side.left, right: side.left + width, top: side.y - LINE + 2, bottom: side.y + 2 } }));
}

const inside = (box) => box.left > -110 && box.right < 110 && box.top > -110 && box.bottom < 110;

const overlap = (one, other) =>
  one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
