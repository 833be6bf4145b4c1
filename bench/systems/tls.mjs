/**
 * `node:tls` 1.3 in the bench, with a self-signed certificate that the client pins.
 *
 * @module
 */

import { connect, createServer } from "node:tls";
import { generate } from "selfsigned";
import { serveSockets, workOnSockets } from "./sockets.mjs";
import { job } from "./workloads.mjs";

const dial = (port) =>
  connect({ port, host: "127.0.0.1", rejectUnauthorized: false, minVersion: "TLSv1.3" }).setNoDelay(true);
if (job.role === "server") await serve();
else if (job.workload === "idle") await workOnSockets(dial, await serve(true));
else await workOnSockets(dial);

async function serve(isQuiet = false) {
  const { cert, private: key } = await generate([{ name: "commonName", value: "bench" }], {
    keyType: "ec",
    curve: "P-256",
  });
  return await serveSockets((onSocket) => createServer({ key, cert, minVersion: "TLSv1.3" }, onSocket), isQuiet);
}
