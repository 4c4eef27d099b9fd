/**
 * The server's side of one websocket, frame by frame on a raw connection: a server that is asked to misbehave must be able
 * to end it without a word, or to be silent for ever, which the platform's own does not let it.
 *
 * **In** bytes of a client, **Out** its messages; messages, pings and farewells to it (RFC 6455; no extensions).
 * **Knows** nothing.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** Bytes of one message of a client. */
const MESSAGE_BYTES_MAX = 64 << 10;
/** Bytes that wait for a client who does not read. */
const WAITING_BYTES_MAX = 64 << 20;
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const encoder = new TextEncoder();
const CONTINUATION = 0, TEXT = 1, BYTES = 2, CLOSE = 8, PING = 9, PONG = 10;

/** What a wire tells. */
export interface Listener {
  text(message: string): void;
  /** What a ping asked for has come back. */
  pong(payload: string): void;
  /** The connection is over, however it came to be. */
  ended(): void;
}

/** Whether a request asks for a websocket. */
export const isUpgrade = ({ method, headers }: IncomingMessage): boolean =>
  method === "GET" && headers.upgrade?.toLowerCase() === "websocket" && headers["sec-websocket-version"] === "13" &&
  /^[\w+/]{22}==$/.test(headers["sec-websocket-key"] ?? "");

export class Wire {
  readonly #socket: Duplex;
  readonly #listener: Listener;
  #rest: Uint8Array;
  #parts: Uint8Array[] = [];
  readonly #speaksBytes: boolean;
  /** Whether the message that comes is a text, where those are not heard. */
  #isPassedOver = false;
  #isFrozen = false;
  #isClosing = false;
  #isOver = false;
  /** Frames that go out together once whoever says them has said all: a write of its own costs more than a frame. */
  #unsent: Uint8Array[] = [];
  #unsentBytes = 0;

  /** Answers the upgrade and takes the connection over. Who `speaksBytes` passes texts of the client over in silence. */
  constructor(request: IncomingMessage, socket: Duplex, head: Uint8Array, listener: Listener, speaksBytes = false) {
    this.#speaksBytes = speaksBytes;
    this.#socket = socket;
    this.#listener = listener;
    this.#rest = head;
    // A frame that waits for the one before to be acknowledged would wait 40 ms.
    if (socket instanceof Socket) socket.setNoDelay(true);
    const accept = createHash("sha1").update(request.headers["sec-websocket-key"] + GUID).digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    socket.on("data", (bytes: Uint8Array) => this.#take(bytes));
    socket.on("error", () => this.abort());
    socket.on("end", () => this.#isFrozen || this.abort());
    socket.on("close", () => this.#end());
  }

  /** Reads what had come with the upgrade; before this nothing is told. */
  begin(): void {
    this.#take(new Uint8Array(0));
  }

  /** Says a text; of one that speaks bytes those whose base64 it is, but for JSON. */
  text(message: string): void {
    if (this.#speaksBytes && !message.startsWith("{")) this.#write(BYTES, Uint8Array.fromBase64(message));
    else this.#write(TEXT, encoder.encode(message));
  }

  /** `payload` comes back once all that was said before has been taken; up to 125 bytes. */
  ping(payload = ""): void {
    this.#write(PING, encoder.encode(payload));
  }

  /** Whether anything that is said still goes out, and may be answered. */
  get isOpen(): boolean {
    return !this.#isFrozen && !this.#isClosing && !this.#isOver;
  }

  /** Says farewell; the client answers, and the connection ends. */
  close(code: number, reason = ""): void {
    if (this.#isClosing) return;
    const why = encoder.encode(reason);
    this.#write(CLOSE, Uint8Array.of(code >> 8, code & 255, ...why));
    this.#isClosing = true;
  }

  /** Ends the connection with what was said and a farewell, whether the client answers or not. */
  leave(): void {
    this.close(1001);
    if (this.#isFrozen) this.abort();
    else this.#finish(() => this.abort());
  }

  /** Ends the connection without a word. */
  abort(): void {
    this.#flush();
    this.#socket.destroy();
    this.#end();
  }

  /** From now on says nothing and hears nothing, and keeps the connection. */
  freeze(): void {
    this.#flush();
    this.#isFrozen = true;
    this.#socket.pause();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#listener.ended();
  }

  #write(opcode: number, payload: Uint8Array): void {
    if (!this.isOpen) return;
    if (this.#socket.writableLength + this.#unsentBytes > WAITING_BYTES_MAX) return this.abort();
    const { length } = payload;
    const head = length < 126 ? [length] : length < 65_536 ? [126, length >> 8, length & 255] : [
      127,
      ...[56, 48, 40, 32, 24, 16, 8, 0].map((shift) => shift > 31 ? 0 : (length >>> shift) & 255),
    ];
    const frame = new Uint8Array(1 + head.length + length);
    frame[0] = 0x80 | opcode;
    frame.set(head, 1);
    frame.set(payload, 1 + head.length);
    if (this.#unsent.length === 0) queueMicrotask(() => this.#flush());
    this.#unsent.push(frame);
    this.#unsentBytes += frame.length;
  }

  #flush(): void {
    if (this.#unsent.length === 0) return;
    const frames = this.#unsent;
    this.#unsent = [];
    this.#unsentBytes = 0;
    if (!this.#isOver) this.#socket.write(joined(frames));
  }

  #finish(ended?: () => void): void {
    this.#flush();
    this.#socket.end(ended);
  }

  #take(bytes: Uint8Array): void {
    if (this.#isFrozen || this.#isOver) return;
    this.#rest = this.#rest.length === 0 ? bytes : joined([this.#rest, bytes]);
    for (;;) {
      const frame = frameOf(this.#rest);
      if (frame === undefined) return;
      if (typeof frame === "number") return this.#refuse(frame);
      this.#rest = this.#rest.subarray(frame.bytes);
      this.#hear(frame);
      if (this.#isFrozen || this.#isOver) return;
    }
  }

  #hear({ opcode, isLast, payload }: Frame): void {
    if (opcode === CLOSE) {
      if (!this.#isClosing) this.#write(CLOSE, payload.subarray(0, 2));
      this.#isClosing = true;
      this.#finish();
    } else if (opcode === PING) this.#write(PONG, payload);
    else if (opcode === TEXT || opcode === CONTINUATION || opcode === BYTES && this.#speaksBytes) {
      if (opcode !== CONTINUATION) this.#isPassedOver = this.#speaksBytes && opcode === TEXT;
      this.#parts.push(payload);
      if (this.#parts.reduce((sum, { length }) => sum + length, 0) > MESSAGE_BYTES_MAX) return this.#refuse(1009);
      if (!isLast) return;
      const whole = joined(this.#parts);
      this.#parts = [];
      let message: string;
      try {
        message = new TextDecoder("utf-8", { fatal: true }).decode(whole);
      } catch {
        return this.#refuse(1007);
      }
      if (!this.#isClosing && !this.#isPassedOver) this.#listener.text(message);
    } else if (opcode === PONG) this.#listener.pong(new TextDecoder().decode(payload));
    else this.#refuse(1003);
  }

  #refuse(code: number): void {
    this.close(code);
    this.#finish();
    this.#isFrozen = true;
  }
}

interface Frame {
  readonly opcode: number;
  readonly isLast: boolean;
  readonly payload: Uint8Array;
  /** Of the frame as a whole. */
  readonly bytes: number;
}

/** The first frame of a client; undefined while it is not whole, a code where it is none. */
function frameOf(bytes: Uint8Array): Frame | number | undefined {
  if (bytes.length < 2) return undefined;
  const [first, second] = bytes as unknown as [number, number];
  if ((second & 0x80) === 0 || (first & 0x70) !== 0) return 1002;
  let length = second & 0x7f, at = 2;
  if (length === 127) return 1009;
  if (length === 126) {
    if (bytes.length < 4) return undefined;
    length = bytes[2]! << 8 | bytes[3]!;
    at = 4;
  }
  if (bytes.length < at + 4 + length) return undefined;
  const mask = bytes.subarray(at, at + 4);
  const payload = bytes.slice(at + 4, at + 4 + length).map((byte, i) => byte ^ mask[i & 3]!);
  return { opcode: first & 15, isLast: (first & 0x80) !== 0, payload, bytes: at + 4 + length };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
