/**
 * The page of the bridge: a tab that joins anonymously through the relay it was served by.
 *
 * @module
 */

import type { Node, NodeEvent } from "../../../adapters/api/types.ts";
import { createNode } from "../../../adapters/browser/mod.ts";
import { Conversation } from "./conversation.ts";
import { byId, formatDuration } from "./elements.ts";
import { People } from "./people.ts";
import { showTopology } from "./topology.ts";
import { Transfers } from "./transfers.ts";

const SEED_KEY = "viaduct-seed";
const TOKEN_KEY = "viaduct-token";

const status: HTMLElement = byId("status");

/** A key for as long as the tab lives: a reload is the same node, another tab is another one. */
function tabSeed(): Uint8Array {
  const known = sessionStorage.getItem(SEED_KEY);
  if (known !== null) return Uint8Array.from(atob(known), (letter) => letter.charCodeAt(0));
  const seed = crypto.getRandomValues(new Uint8Array(32));
  sessionStorage.setItem(SEED_KEY, btoa(String.fromCharCode(...seed)));
  return seed;
}

function knownToken(): Uint8Array | undefined {
  const known = sessionStorage.getItem(TOKEN_KEY);
  return known === null ? undefined : Uint8Array.from(atob(known), (letter) => letter.charCodeAt(0));
}

function tell(state: string, text: string): void {
  status.dataset.state = state;
  status.textContent = text;
}

async function start(): Promise<void> {
  tell("connecting", "Connecting to the relay");
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const token = knownToken();
  const node = await createNode({
    identity: tabSeed(),
    relays: [`${scheme}://${location.host}/`],
    about: "a browser tab",
    ...(token === undefined ? {} : { token }),
  });
  const conversation = new Conversation(node);
  const people = new People(node, (id) => conversation.retry(id));
  conversation.people = people;
  new Transfers(node, people);
  void follow(node, conversation, people);
  byId("my-id").textContent = node.id.slice(0, 8);
  await node.ready;
  showTopology(node, people);
}

/** Says what the node is doing. */
async function follow(node: Node, conversation: Conversation, people: People): Promise<void> {
  for await (const event of node.events()) show(event, node, conversation, people);
}

function show(event: NodeEvent, node: Node, conversation: Conversation, people: People): void {
  if (event.type === "relay") {
    const { state, error, retryInMs, name } = event.relay;
    if (state === "registered") {
      tell("registered", `Registered as ${name ?? "?"}`);
      byId("my-name").textContent = name ?? "?";
      if (node.token !== undefined) sessionStorage.setItem(TOKEN_KEY, btoa(String.fromCharCode(...node.token)));
    } else if (state === "waiting") {
      const when = retryInMs === undefined ? "soon" : `in ${formatDuration(retryInMs)}`;
      tell("waiting", `The relay is away, trying again ${when}`);
    } else if (state === "refused") tell("refused", `The relay refused: ${error ?? "no reason given"}`);
    else tell("connecting", "Connecting to the relay");
  } else if (event.type === "peerSuspended") {
    conversation.note(`The connection to ${people.nameOf(event.peer.id)} is interrupted, trying to resume.`);
  } else if (event.type === "peerResumed") {
    conversation.note(`The connection to ${people.nameOf(event.peer.id)} goes on.`);
  }
}

start().catch((error: unknown) => {
  tell("refused", error instanceof Error ? error.message : String(error));
});
