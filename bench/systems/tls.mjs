/**
 * `node:tls` 1.3 in the bench, with a self-signed certificate that the client pins.
 *
 * @module
 */

import process from "node:process";
import { connect, createServer } from "node:tls";
import { generate } from "selfsigned";
import { serveSockets, workOnSockets } from "./sockets.mjs";

const [role, workload, address] = process.argv.slice(2);
const dial = (port) =>
  connect({ port, host: "127.0.0.1", rejectUnauthorized: false, minVersion: "TLSv1.3" }).setNoDelay(true);
if (role === "server") await serve();
else if (workload === "idle") await workOnSockets(workload, dial, await serve());
else await workOnSockets(workload, dial, address);

async function serve() {
  const { cert, private: key } = await generate([{ name: "commonName", value: "bench" }], {
    keyType: "ec",
    curve: "P-256",
  });
  const isQuiet = role !== "server";
  return await serveSockets((onSocket) => createServer({ key, cert, minVersion: "TLSv1.3" }, onSocket), isQuiet);
}
