/**
 * A message's value as bytes, and bytes as a value: text where they are valid UTF-8, the bytes themselves elsewhere.
 *
 * **In** values, **Out** bytes, and back. **Knows** `transport`, `failure`.
 */
import { Buffer } from "node:buffer";
import { Misuse } from "./failure.ts";
import { KEY_LENGTH_MAX, MESSAGE_BYTES_MAX, type Value } from "./transport.ts";

/** A value's bytes; not a copy where the value is bytes. */
export function bytesOf(value: Value): Buffer {
  if (typeof value === "string") return Buffer.from(value);
  return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

/**
 * The value that the bytes `from` up to `to` are, copied. Decoding puts U+FFFD for what is not UTF-8, so only text that
 * holds one is looked at twice.
 */
export function valueOf(bytes: Buffer, from = 0, to = bytes.length): Value {
  const text = bytes.toString("utf8", from, to);
  if (!text.includes("\ufffd")) return text;
  const part = bytes.subarray(from, to);
  return Buffer.from(text).equals(part) ? text : Uint8Array.from(part);
}

/** Bytes that a value has. @throws {Misuse} when they are more than a message may have; `place` is for the message */
export function sizeOf(value: Value, place: string, bytesMax = MESSAGE_BYTES_MAX): number {
  const bytes = typeof value === "string" ? Buffer.byteLength(value) : value.byteLength;
  if (bytes <= bytesMax) return bytes;
  throw new Misuse(`Cannot append message to "${place}": it has ${bytes} bytes, must have at most ${bytesMax}`);
}

/** @throws {Misuse} when a message's key is longer than one may be; `place` is for the message */
export function checkKey(key: string | null, place: string): void {
  if (key === null || key.length <= KEY_LENGTH_MAX) return;
  throw new Misuse(
    `Cannot append message to "${place}": its key has ${key.length} characters, must have at most ${KEY_LENGTH_MAX}`,
  );
}
