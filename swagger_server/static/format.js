/**
 * Numbers, distances, places and times in words.
 */

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const DIRECTIONS = ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"];

/** 1024621 -> "1,024,621" */
export const whole = (value) => WHOLE.format(value);

/** Kilometres: one decimal below 10 km, none above. */
export const km = (value) => `${(value < 10 ? TENTHS : WHOLE).format(value)} km`;

/** Degrees to two decimals, about a kilometre: "50.93° N, 6.95° E", with spaces that do not break. */
export function coordinates(lat, lon) {
  const part = (value, positive, negative) => `${Math.abs(value).toFixed(2)}°\u00a0${value < 0 ? negative : positive}`;
  return `${part(lat, "N", "S")}, ${part(lon, "E", "W")}`;
}

/** A bearing in degrees clockwise from north -> "south-east". */
export const direction = (bearing) => DIRECTIONS[Math.round(bearing / 45) % 8];

/** The time in an IANA timezone now, "Sun 14:05"; null where the browser does not know the zone. */
export function localTime(timezone) {
  try {
    const format = { weekday: "short", hour: "2-digit", minute: "2-digit", timeZone: timezone };
    return new Intl.DateTimeFormat("en-GB", format).format(new Date()).replace(",", "");
  } catch {
    return null;
  }
}

/** The rest of a city's label after its name: "Île-de-France, France". */
export const region = (city) => city.label.startsWith(`${city.name}, `) ? city.label.slice(city.name.length + 2) : "";
