/**
 * The scenarios of a bad network over real sockets: two processes, an impairment proxy between them for each path.
 *
 * @module
 */

import type { DatagramLinkOptions } from "../../sim/datagram_link.ts";
import { ImpairmentProxy, type ImpairmentStats } from "./impairment_proxy.ts";
import type { JobResult } from "./peer_lines.ts";
import type { PeerProcess } from "./peer_process.ts";

/** A scenario. */
export interface RealScenario {
  readonly name: string;
  /** The paths, each with what it is like; the way back is like the way there where nothing is said. */
  readonly paths?: number;
  readonly up: Partial<DatagramLinkOptions>;
  readonly down?: Partial<DatagramLinkOptions>;
  readonly rebindEveryMs?: number;
  /** Bytes from the client to the server, and back. */
  readonly push?: number;
  readonly fetch?: number;
  /** Instead of a stream, so many sessions at once. */
  readonly connects?: number;
  /** What happens once the session is there. */
  readonly plan?: (proxies: readonly ImpairmentProxy[]) => void;
}

/** What came of a scenario. */
export interface RealOutcome {
  readonly result: JobResult;
  readonly proxies: readonly ImpairmentStats[];
}

/** Runs a scenario between two processes. Rejects when the job fails or takes longer than `timeoutMs`. */
export async function runReal(
  scenario: RealScenario,
  ends: { readonly client: PeerProcess; readonly server: PeerProcess },
  options: { readonly seed: number; readonly timeoutMs: number },
): Promise<RealOutcome> {
  const { client, server } = ends;
  const { up, down = up, rebindEveryMs, paths = 1, push = 0, fetch = 0, connects = 0 } = scenario;
  const proxies: ImpairmentProxy[] = [];
  try {
    for (let path = 0; path < paths; path++) {
      const seed = options.seed + 1000 * path;
      const rebinding = rebindEveryMs === undefined ? {} : { rebindEveryMs };
      proxies.push(await ImpairmentProxy.start({ seed, targetPort: server.port, up, down, ...rebinding }));
    }
    const addresses = proxies.map(({ address }) => address);
    const job = { id: server.id, addresses, push, fetch, paths, connects };
    const result = await client.run(job, options.timeoutMs, () => scenario.plan?.(proxies));
    return { result, proxies: proxies.map(({ stats }) => stats) };
  } catch (error) {
    const what = proxies.map(({ stats }) => JSON.stringify(stats)).join("\n");
    const from = `${scenario.name}, ${client.runtime} to ${server.runtime}, seed ${options.seed}`;
    throw new Error(`${from}: ${error instanceof Error ? error.message : String(error)}\n${what}`, { cause: error });
  } finally {
    await Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
  }
}

/** Nothing gets through a path from `atMs` on for `forMs`. */
export function blackout(proxy: ImpairmentProxy, atMs: number, forMs: number): void {
  proxy.after(atMs, () => proxy.setDown(true));
  proxy.after(atMs + forMs, () => proxy.setDown(false));
}
