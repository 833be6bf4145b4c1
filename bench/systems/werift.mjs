/**
 * werift's data channels in the bench: WebRTC in JavaScript, with SCTP over DTLS over UDP. Two plain lines over TCP
 * stand for the signalling.
 *
 * @module
 */

import { once } from "node:events";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { RTCPeerConnection } from "werift";
import { bulk, job, requests, tell } from "./workloads.mjs";

const { role, workload, address } = job;
const HOST = "127.0.0.1";
const OPTIONS = { iceServers: [], iceUseIpv4: true, iceUseIpv6: false, iceAdditionalHostAddresses: [HOST] };
/** What WebRTC guarantees to go through. */
const MESSAGE_BYTES_MAX = 16 * 1024;
/** What is sent before the figure is taken, and for it: it would take minutes for what others send. */
const MEBIBYTES = [1, 4];
/** Bytes that may wait, as programs in browsers have it. */
const WAITING_MAX = 1024 * 1024;

if (role === "server") {
  const server = createServer(async (socket) => {
    const peer = new RTCPeerConnection(OPTIONS);
    peer.onDataChannel.subscribe((channel) => {
      let received = 0;
      channel.onMessage.subscribe((bytes) => {
        received += bytes.length;
        if (channel.label === "echo") channel.send(bytes);
        else if (received === Number(channel.label)) channel.send(Buffer.from("done"));
      });
    });
    await peer.setRemoteDescription(JSON.parse(await line(socket)));
    await peer.setLocalDescription(await peer.createAnswer());
    socket.write(`${JSON.stringify(peer.localDescription)}\n`);
  });
  server.listen(0, HOST, () => tell({ port: server.address().port }));
} else {
  const peer = new RTCPeerConnection(OPTIONS);
  const first = peer.createDataChannel("echo");
  await peer.setLocalDescription(await peer.createOffer());
  const socket = connect(address.port, HOST);
  socket.write(`${JSON.stringify(peer.localDescription)}\n`);
  await peer.setRemoteDescription(JSON.parse(await line(socket)));
  await opened(first);
  if (workload === "pingpong") {
    let answered = () => {};
    first.onMessage.subscribe(() => answered());
    await requests(
      (bytes) =>
        new Promise((resolve) => {
          answered = resolve;
          first.send(Buffer.from(bytes));
        }),
      1,
    );
  } else {
    await bulk(
      async (mebibytes) => {
        const channel = peer.createDataChannel(String(mebibytes * 2 ** 20));
        await opened(channel);
        const done = channel.onMessage.asPromise();
        return {
          send: async (bytes) => {
            for (let at = 0; at < bytes.length; at += MESSAGE_BYTES_MAX) {
              channel.send(Buffer.from(bytes.subarray(at, at + MESSAGE_BYTES_MAX)));
            }
            while (channel.bufferedAmount > WAITING_MAX) await new Promise((resolve) => setImmediate(resolve));
          },
          finish: () => done,
        };
      },
      ...MEBIBYTES,
    );
  }
}

async function line(socket) {
  const [text] = await once(createInterface(socket), "line");
  return text;
}

async function opened(channel) {
  if (channel.readyState !== "open") await channel.stateChanged.watch((state) => state === "open");
}
