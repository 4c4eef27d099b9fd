/**
 * The server's side of a websocket against the platform's own client, and against bytes that no client should send.
 */
import assert from "@std/assert";
import { Client } from "../testdata/client.ts";
import { Pretend } from "./pretend.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

/** A connection whose websocket was agreed upon, for bytes of a test's own. */
async function upgraded(url: string): Promise<Deno.TcpConn> {
  const { hostname, port } = new URL(url);
  const socket = await Deno.connect({ hostname, port: Number(port) });
  const head = "GET /v5/public/spot HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n" +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  await socket.write(new TextEncoder().encode(head));
  const answer = new TextDecoder().decode(await bytesOf(socket, 129));
  assert.match(answer, /^HTTP\/1.1 101 [^]*Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n\r\n$/);
  return socket;
}

async function bytesOf(socket: Deno.TcpConn, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const read = await socket.read(bytes.subarray(at));
    if (read === null) return bytes.subarray(0, at);
    at += read;
  }
  return bytes;
}

/** A client's frame, masked with zeros. */
const frame = (first: number, payload: string): Uint8Array => {
  const bytes = new TextEncoder().encode(payload);
  const { length } = bytes;
  const head = length < 126 ? [0x80 | length] : [0xfe, length >> 8, length & 255];
  return Uint8Array.of(first, ...head, 0, 0, 0, 0, ...bytes);
};

async function pretending(test: (pretend: Pretend) => Promise<void>): Promise<void> {
  const pretend = await Pretend.open({ as: "bybit", symbols: 1 });
  try {
    await test(pretend);
  } finally {
    await pretend.close();
  }
}

Deno.test("texts of every length arrive whole", strict, () =>
  pretending(async (pretend) => {
    const client = await Client.to(`${pretend.socketUrl}/v5/public/spot`);
    for (const length of [0, 1, 125, 126, 65_535, 65_536, 5_000_000]) {
      pretend.play("é".repeat(length / 2) + "x".repeat(length % 2));
      assert.equal(new TextEncoder().encode(await client.text()).length, length);
    }
    await client.close();
  }));

Deno.test("a request in pieces, between pings, is one request", strict, () =>
  pretending(async (pretend) => {
    using socket = await upgraded(pretend.socketUrl);
    const bytes = [frame(0x01, '{"op":'), frame(0x89, "hey"), frame(0x80, '"ping"}')].flatMap((part) => [...part]);
    for (const byte of bytes) await socket.write(Uint8Array.of(byte));
    assert.deepEqual([...await bytesOf(socket, 5)], [0x8a, 3, ...new TextEncoder().encode("hey")]);
    const [, length] = await bytesOf(socket, 2);
    assert.match(new TextDecoder().decode(await bytesOf(socket, length!)), /^\{"success":true,"ret_msg":"pong"/);
  }));

for (
  const [what, bytes, code] of [
    ["without a mask", Uint8Array.of(0x81, 1, 65), 1002],
    ["of an extension", frame(0xc1, "x"), 1002],
    ["of an unknown kind", frame(0x82, "x"), 1003],
    ["that is no UTF-8", Uint8Array.of(0x81, 0x81, 0, 0, 0, 0, 0xff), 1007],
    ["that is too long", Uint8Array.of(0x81, 0xff, 0, 0, 0, 0, 1, 0, 0, 0), 1009],
  ] as const
) {
  Deno.test(`a frame ${what} ends the connection with ${code}`, strict, () =>
    pretending(async (pretend) => {
      using socket = await upgraded(pretend.socketUrl);
      await socket.write(bytes);
      assert.deepEqual([...await bytesOf(socket, 99)], [0x88, 2, code >> 8, code & 255]);
    }));
}

Deno.test("a request in pieces without end ends the connection with 1009", strict, () =>
  pretending(async (pretend) => {
    using socket = await upgraded(pretend.socketUrl);
    await socket.write(frame(0x01, "x".repeat(60_000)));
    await socket.write(frame(0x00, "x".repeat(60_000)));
    assert.deepEqual([...await bytesOf(socket, 99)], [0x88, 2, 1009 >> 8, 1009 & 255]);
  }));

Deno.test("what asks for no websocket gets none", strict, () =>
  pretending(async (pretend) => {
    const { hostname, port } = new URL(pretend.socketUrl);
    using socket = await Deno.connect({ hostname, port: Number(port) });
    await socket.write(
      new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
    );
    assert.match(new TextDecoder().decode(await bytesOf(socket, 4_096)), /^HTTP\/1.1 400 /);
  }));
