/**
 * `echo/1`: everything that comes in goes out again, byte by byte.
 *
 * @module
 */

import type { Node, Stream } from "../adapters/api/types.ts";

/** The name under which echoing is served. */
export const ECHO_PROTOCOL = "echo/1";

/** Serves `echo/1` on a node until the result is disposed. */
export function serveEcho(node: Node): Disposable {
  return node.handle(ECHO_PROTOCOL, echo);
}

async function echo(stream: Stream): Promise<void> {
  for (;;) {
    const bytes = await stream.read();
    if (bytes === undefined) break;
    await stream.write(bytes);
  }
  await stream.finish();
}
