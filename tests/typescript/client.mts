// A client with the spec's types talks to a running service: node client.mjs URL KEY
//
// It is a test twice over. It compiles only while the spec says what is used here, and while what is marked as an
// error is one; and what the service answers has to be what the types promise.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";

import type { components, paths } from "./schema.mjs";

type CityHit = components["schemas"]["CityHit"];
type SiteInput = components["schemas"]["SiteInput"];

const [url, key] = process.argv.slice(2);
assert(url && key, "usage: node client.mjs URL KEY");
const open = createClient<paths>({ baseUrl: `${url}/v1` });
const ours = createClient<paths>({ baseUrl: `${url}/v1`, headers: { "X-API-Key": key } });

function value<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  assert(answer.data !== undefined, `${answer.response.status}: ${JSON.stringify(answer.error)}`);
  return answer.data;
}

async function finds(): Promise<CityHit> {
  const page = value(await open.GET("/cities", { params: { query: { q: "köln", limit: 1 } } }));
  const [city] = page.items;
  assert(city);
  assert.deepEqual([city.id, city.name, city.country], [2886242, "Köln", "DE"]);
  assert.equal(typeof page.next, "string");
  // @ts-expect-error a city has no such field
  assert.equal(city.mayor, undefined);
  // @ts-expect-error a number is no text
  const wrong: string = city.population;
  assert.equal(typeof wrong, "number");
  return city;
}

async function reads(city: CityHit): Promise<void> {
  const whole = value(await open.GET("/cities/{id}", { params: { path: { id: city.id } } }));
  assert.equal(whole.country.iso3, "DEU");
  assert(whole.alternate_names.includes("Cologne"));
  const near = value(
    await open.GET("/airports/nearest", {
      params: { query: { lat: whole.lat, lon: whole.lon, has_iata: true, limit: 1 } },
    }),
  );
  assert.equal(near.items[0]?.iata, "CGN");
  // @ts-expect-error a point needs a longitude
  const refused = await open.GET("/airports/nearest", { params: { query: { lat: 50 } } });
  assert.equal(refused.response.status, 400);
  assert.equal(refused.error?.status, 400);
}

async function isToldWhatIsMissing(): Promise<void> {
  const { data, error, response } = await open.GET("/countries/{code}", { params: { path: { code: "XX" } } });
  assert.equal(data, undefined);
  assert.equal(error?.detail, "No country has the code XX.");
  assert.equal(error.request_id, response.headers.get("X-Request-ID"));
}

async function isAskedWhoIsCalling(): Promise<void> {
  const { error } = await open.GET("/sites");
  assert.equal(error?.status, 401);
}

async function writes(city: CityHit): Promise<void> {
  const shop: SiteInput = { name: "Shop at the Dom", city_id: city.id, tags: ["shop"], attributes: { floors: 2 } };
  const params = { header: { "Idempotency-Key": crypto.randomUUID() } };
  const added = await ours.POST("/sites", { params, body: shop });
  const site = value(added);
  const again = value(await ours.POST("/sites", { params, body: shop }));
  assert.deepEqual([again.id, site.country, site.lat], [site.id, "DE", city.lat]);

  const version = added.response.headers.get("ETag") ?? "";
  const change = (name: string) =>
    ours.PATCH("/sites/{id}", {
      params: { path: { id: site.id }, header: { "If-Match": version } },
      body: { name, phone: "+49 221 0" },
      headers: { "Content-Type": "application/merge-patch+json" },
    });
  assert.equal(value(await change("Shop by the Dom")).name, "Shop by the Dom");
  assert.equal((await change("Shop in the Dom")).error?.status, 412);

  // @ts-expect-error a site needs a name
  assert.equal((await ours.POST("/sites", { body: { city_id: city.id } })).error?.status, 400);
  const removed = await ours.DELETE("/sites/{id}", { params: { path: { id: site.id } } });
  assert.equal(removed.response.status, 204);
}

const city = await finds();
await reads(city);
await isToldWhatIsMissing();
await isAskedWhoIsCalling();
await writes(city);
console.log("ok");
