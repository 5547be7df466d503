/**
 * Talking to the service: where it is, asking it, and what its errors mean. Knows nothing of the page.
 */

const TIMEOUT_MS = 15000;

/** What the service, or the way to it, had to say. `status` is 0 where no answer came. */
export class ApiError extends Error {
  constructor(message, { status = 0, requestId = null } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.requestId = requestId;
  }
}

/** True for the error of a request that the page itself gave up because the answer is no longer wanted. */
export const isAbort = (error) => error?.name === "AbortError";

/** Address of the service: `?api=`, else `<meta name="api-base">`, else the folder of this page. */
export const base = serviceBase();

function serviceBase() {
  const asked = new URLSearchParams(location.search).get("api");
  const named = document.querySelector('meta[name="api-base"]')?.content;
  const url = new URL(asked || named || "./", document.baseURI);
  if (!/^https?:$/.test(url.protocol)) return new URL("./", document.baseURI);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  url.search = url.hash = "";
  return url;
}

/** Full address of a path of the service, with query parameters; those that are null are left out. */
export function address(path, query = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

/**
 * One GET: {response, text, milliseconds}, whatever the status. Throws ApiError where no answer came within 15 s,
 * and the signal's AbortError where the page gave up.
 */
export async function exchange(url, signal) {
  const started = performance.now();
  const deadline = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(url, {
      headers: { Accept: "application/json" },
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    });
    return { response, text: await response.text(), milliseconds: performance.now() - started };
  } catch (error) {
    throw isAbort(error) ? error : unreachable(error);
  }
}

/** The body of a GET as JSON. Throws ApiError with the problem's detail and request id, see `exchange`. */
export async function getJson(url, signal) {
  const { response, text } = await exchange(url, signal);
  const body = parsed(text);
  if (!response.ok) throw refused(response, body);
  if (body === undefined) throw new ApiError(`${base.host} answered something that is not JSON.`, { status: response.status });
  return body;
}

/** The items of a list, page by page, for at most `most` pages. */
export async function* pages(url, most, signal) {
  for (let page = 0; url && page < most; page += 1) {
    const { items, next } = await getJson(url, signal);
    yield items;
    url = next && following(url, next);
  }
}

// Only the query of `next` is taken: behind a proxy that does not say so the service cannot know the address
// under which this browser reaches it.
function following(url, next) {
  return new URL(new URL(next, url).search, url);
}

function unreachable(error) {
  if (error.name === "TimeoutError") return new ApiError(`${base.host} did not answer within ${TIMEOUT_MS / 1000} seconds.`);
  if (!navigator.onLine) return new ApiError("This device is offline.");
  return new ApiError(`${base.host} cannot be reached.`);
}

function refused(response, problem) {
  const wait = response.headers.get("Retry-After");
  const words = problem?.detail || problem?.title || `${response.status} ${response.statusText}`.trim();
  return new ApiError(wait ? `${words} Worth trying again in ${wait} s.` : words, {
    status: response.status,
    requestId: problem?.request_id ?? response.headers.get("X-Request-ID"),
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
