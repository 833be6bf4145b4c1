/**
 * The bridge: one command starts a relay (TCP and WebSocket), a node that serves `chat/1`, `file/1` and `echo/1`, and a
 * page whose tabs join through the relay.
 *
 *   npm start -- [--port 8080] [--tcp 5480] [--data DIRECTORY]
 *
 * @module
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import type { RelayHandle } from "../../adapters/node/mod.ts";
import { createRelay, ViaductError } from "../../adapters/node/mod.ts";
import { startBridgePeer } from "./peer.ts";
import { buildPage, servePage } from "./serve_page.ts";

const PORTS_TRIED = 100;

const { values } = parseArgs({
  options: { port: { type: "string" }, tcp: { type: "string" }, data: { type: "string" } },
});
const data = values.data ?? join(process.cwd(), "bridge-data");
await mkdir(data, { recursive: true });
process.stdout.write("Building the page\n");
const page = await buildPage();

/** The document that a page reads first: whom to trust and whom to find. */
let about: Record<string, unknown> = {};
const relay = await startRelay(Number(values.port ?? 8080), Number(values.tcp ?? 5480));
const webAddress = relay.node.addresses.find((address) => address.startsWith("ws:")) as string;
const tcpAddress = relay.node.addresses.find((address) => address.startsWith("tcp:")) as string;
const origin = webAddress.replace("ws:", "http:").replace("127.0.0.1", "localhost");

const peer = await startBridgePeer({ relay: relay.ticket(), data });
about = {
  relay: { id: relay.node.id, address: tcpAddress },
  relayTicket: relay.ticket(),
  peer: { id: peer.id, name: peer.name, ticket: peer.ticket() },
};

process.stdout.write(`
  Page    ${origin}/
  Relay   ${tcpAddress} and ${webAddress}
          ${relay.ticket()}
  Peer    ${peer.name} ${peer.id}
          ${peer.ticket()}

  Files that the peer receives go to ${join(data, "received")}. Ctrl+C ends it.
`);

let isEnding = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (isEnding) process.exit(130);
    isEnding = true;
    void (async () => {
      await peer.close();
      await relay.close();
      process.exit(0);
    })();
  });
}

/** Takes the ports that are asked for, or the next ones that are free. */
async function startRelay(webPort: number, tcpPort: number): Promise<RelayHandle> {
  for (let tried = 0; ; tried++) {
    try {
      return await createRelay({
        identity: { store: join(data, "relay-key") },
        listen: [`ws://127.0.0.1:${webPort + tried}`, `tcp://127.0.0.1:${tcpPort + tried}`],
        // Everybody here is at home: no quota for what stays on this machine.
        relay: { classes: { anonymous: { bytesPerSecond: 0 } }, registry: { namesPerAddressMax: 1000 } },
        onHttpRequest: ({ method, path }) => {
          if (path === "/bridge.json") return json(about);
          if (path === "/topology.json") return json(topology());
          return servePage(page, method, path);
        },
      });
    } catch (error) {
      if (!(error instanceof ViaductError) || error.code !== "address_in_use" || tried === PORTS_TRIED) throw error;
    }
  }
}

/** Who is here and who talks with whom, without anything that a stranger should not see. */
function topology(): Record<string, unknown> {
  const { clients, circuits } = relay.topology();
  return {
    clients: clients.map(({ id, name }) => ({ id, name })),
    circuits: circuits.map(({ source, target, bytesForward, bytesBackward }) => ({
      a: source,
      b: target,
      bytes: bytesForward + bytesBackward,
    })),
  };
}

function json(value: unknown): { status: number; headers: Record<string, string>; body: string } {
  return {
    status: 200,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
    body: JSON.stringify(value),
  };
}
