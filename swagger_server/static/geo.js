/**
 * The little geometry that the two maps need. Angles in degrees, distances in kilometres.
 */

const RADIANS = Math.PI / 180;

/** Bearing of the great circle from one point to another, clockwise from north, 0 up to 360. */
export function bearing(from, to) {
  const [south, north] = [from.lat * RADIANS, to.lat * RADIANS];
  const east = (to.lon - from.lon) * RADIANS;
  const y = Math.sin(east) * Math.cos(north);
  const x = Math.cos(south) * Math.sin(north) - Math.sin(south) * Math.cos(north) * Math.cos(east);
  return (Math.atan2(y, x) / RADIANS + 360) % 360;
}

/** Where a point lies on a plan centred on `from` that keeps distances and bearings: {x, y} in kilometres, y down. */
export function plan(from, to) {
  const angle = bearing(from, to) * RADIANS;
  return { x: Math.sin(angle) * to.distance_km, y: -Math.cos(angle) * to.distance_km };
}

/** The smallest of 1, 2, 5, 10, 20, 50 … that is at least `value`. */
export function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}
