/**
 * A relay that takes nobody but those whom its operator signed something for, under a name that it allows.
 *
 * @module
 */

import { createOperatorKey, issueAdmission } from "../adapters/admission/mod.ts";
import { createNode, createRelay } from "../mod.ts";

// The operator keeps key.secret, at home or in a game's server; relays have key.public alone.
const key = createOperatorKey();
await using relay = await createRelay({
  listen: ["tcp://127.0.0.1:0"],
  policy: { rules: [{ type: "token", keys: [key.public] }] },
});
const { admission, id } = issueAdmission({ name: "player-*", expiresInMs: 3_600_000 }, key.secret);

await using stranger = await createNode({ relays: [relay.ticket()] });
console.log(`without: ${await refusalOf(stranger)}`);

await using player = await createNode({ relays: [relay.ticket()], name: "player-one", admission });
await player.ready;
console.log(`with: ${player.name}`);

relay.revoke(id);
console.log(`revoked: ${await refusalOf(player)}`);

async function refusalOf(node: typeof stranger): Promise<string> {
  for (const { error } of node.relays) if (error !== undefined) return error;
  for await (const event of node.events()) {
    if (event.type === "relay" && event.relay.error !== undefined) return event.relay.error;
  }
  return "none";
}
