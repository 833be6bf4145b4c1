/**
 * `node:net` in the bench: no encryption, no identity. The floor of what a socket costs.
 *
 * @module
 */

import { connect, createServer } from "node:net";
import process from "node:process";
import { serveSockets, workOnSockets } from "./sockets.mjs";

const [role, workload, address] = process.argv.slice(2);
if (role === "server") serveSockets((onSocket) => createServer({ noDelay: true }, onSocket));
else await workOnSockets(workload, (port) => connect({ port, host: "127.0.0.1", noDelay: true }), address);
