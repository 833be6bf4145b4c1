/**
 * Two nodes that cannot reach each other meet at a relay, which gives them names and cannot read what they say.
 *
 * @module
 */

import { createNode, createRelay } from "../mod.ts";

await using relay = await createRelay({ listen: ["tcp://127.0.0.1:0"] });
await using alice = await createNode({ relays: [relay.ticket()], name: "alice" });
await using bob = await createNode({ relays: [relay.ticket()], name: "bob" });
await Promise.all([alice.ready, bob.ready]);

const inbox = bob.messages();
await alice.send("bob", "meet me at the bridge");
const { value: message } = await inbox.next();
console.log(`${message.from.name}: ${message.value}, ${message.from.stats().paths[0]?.kind}`);
