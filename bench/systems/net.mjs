/**
 * `node:net` in the bench: no encryption, no identity. The floor of what a socket costs.
 *
 * @module
 */

import { connect, createServer } from "node:net";
import { serveRelay, serveSockets, workOnSockets } from "./sockets.mjs";
import { job } from "./workloads.mjs";

const dial = (port) => connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: job.role === "relay" });
if (job.role === "server") serveSockets((onSocket) => createServer({ noDelay: true }, onSocket));
else if (job.role === "relay") {
  serveRelay((onSocket) => createServer({ noDelay: true, allowHalfOpen: true }, onSocket), dial);
} else await workOnSockets(dial);
