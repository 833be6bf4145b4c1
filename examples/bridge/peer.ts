/**
 * The node of the bridge: it answers in the chat, keeps the files it is sent, gives them back, and echoes.
 *
 * @module
 */

import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { createNode, type Node } from "../../adapters/node/mod.ts";
import { nativeHasher, openSink, openSource } from "../../cli/file_on_disk.ts";
import { Chat } from "../../protocols/chat.ts";
import { serveEcho } from "../../protocols/echo.ts";
import { acceptOffer, answerGet, FILE_PROTOCOL, offerFile, readFileRequest, refuseFile } from "../../protocols/file.ts";

const HELP = "I keep the files that you send me. Say “files” for a list, “send NAME” to have one back.";

/** Starts the node, registered at the relay. */
export async function startBridgePeer(options: { relay: string; data: string }): Promise<Node> {
  const directory = join(options.data, "received");
  await mkdir(directory, { recursive: true });
  const node = await createNode({
    identity: { store: join(options.data, "peer-key") },
    name: "bridge",
    about: "The node behind this page",
    relays: [options.relay],
  });
  serveEcho(node);
  node.handle(FILE_PROTOCOL, async (stream) => {
    const { request, rest } = await readFileRequest(stream);
    if (request.op === "offer") {
      const sink = await openSink(directory, request, await freeName(directory, request.name, request.id));
      await acceptOffer(stream, rest, request, sink, { hasher: nativeHasher });
      return;
    }
    const [first] = await received(directory);
    if (first === undefined) {
      await refuseFile(stream, "There is no file here yet");
      return;
    }
    await using source = await openSource(join(directory, first));
    await answerGet(stream, rest, source, request.offset, { hasher: nativeHasher });
  });
  const chat: Chat = new Chat({
    node,
    name: () => "bridge",
    prefix: Date.now().toString(36),
    handlers: {
      onLine: (line) => {
        void reply(line.text, line.from).then((text) => chat.say(text, [line.from]));
      },
    },
  });

  async function reply(text: string, from: string): Promise<string> {
    const names = await received(directory);
    if (/^files$/i.test(text.trim())) return names.length === 0 ? "There is no file here yet." : names.join(", ");
    const wanted = /^send (.+)$/i.exec(text.trim())?.[1];
    if (wanted === undefined) return `You said “${text.slice(0, 200)}”. ${HELP}`;
    if (!names.includes(wanted)) return `I have no file “${wanted}”.`;
    void (async () => {
      await using source = await openSource(join(directory, wanted));
      const peer = await node.connect(from);
      await offerFile(await peer.open(FILE_PROTOCOL), source, { hasher: nativeHasher });
    })().catch(() => undefined);
    return `Offering “${wanted}”.`;
  }
  await node.ready;
  return node;
}

async function received(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => !name.includes(".part")).sort();
}

/** A name that no other file has; a transfer that goes on keeps the one it had. */
async function freeName(directory: string, name: string, id: string): Promise<string> {
  const names = new Set(await readdir(directory));
  if (!names.has(name)) return name;
  const dot = name.lastIndexOf(".");
  const [stem, end] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  const own = `${stem}-${id.slice(0, 6)}${end}`;
  if (!names.has(own)) return own;
  for (let number = 2; ; number++) if (!names.has(`${stem}-${number}${end}`)) return `${stem}-${number}${end}`;
}
