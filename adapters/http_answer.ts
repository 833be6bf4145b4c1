/**
 * Answers plain HTTP requests beside WebSockets, for runtimes whose server speaks `Request` and `Response`.
 *
 * @module
 */

import type { HttpResponse, ListenOptions } from "./runtime.ts";

/** Asks `onHttpRequest`; nothing there is a 404, a failure a 500. */
export async function answerHttp(request: Request, options: ListenOptions): Promise<Response> {
  let result: HttpResponse | undefined;
  try {
    const { pathname, search } = new URL(request.url);
    const headers = new Map(request.headers.entries());
    result = await options.onHttpRequest?.({ method: request.method, path: pathname + search, headers });
  } catch {
    result = { status: 500, body: "Internal error\n" };
  }
  result ??= { status: 404, headers: { "content-type": "text/plain" }, body: "Not found\n" };
  const body = request.method === "HEAD" ? null : ((result.body ?? null) as BodyInit | null);
  return new Response(body, { status: result.status, ...(result.headers ? { headers: result.headers } : {}) });
}
