/**
 * A message on Kafka: key and value as they are, the producer's envelope and the control flag as two short headers.
 *
 * **In** messages, and the headers of what was read; **Out** what the producers want, and records. **Knows** `transport`.
 */
import type { Buffer } from "node:buffer";
import { KEY_LENGTH_MAX, type LogRecord, type Message, type Producer } from "../../transport.ts";

/** Header `id/epoch/number`. An id may hold slashes, the numbers none. */
const PRODUCER = "p";
/** Header `1` of a control message. */
const CONTROL = "c";

/** The message's headers by name; undefined when it needs none. */
export function headersOf({ producer, control }: Message): Record<string, string> | undefined {
  if (producer === undefined) return control ? { [CONTROL]: "1" } : undefined;
  const mark = `${producer.id}/${producer.epoch}/${producer.number}`;
  return control ? { [PRODUCER]: mark, [CONTROL]: "1" } : { [PRODUCER]: mark };
}

/** The record with what its headers, by name, say of it. */
export function marked(record: LogRecord, headers: ReadonlyMap<string, string>): LogRecord {
  const producer = producerOf(headers.get(PRODUCER));
  const isControl = headers.get(CONTROL) === "1";
  if (producer === null) return isControl ? { ...record, control: true } : record;
  return isControl ? { ...record, producer, control: true } : { ...record, producer };
}

/** The key that the bytes `from` up to `to` are, no longer than a key may be. */
export function keyOf(bytes: Buffer, from: number, to: number): string {
  const text = bytes.toString("utf8", from, to);
  return text.length <= KEY_LENGTH_MAX ? text : text.slice(0, KEY_LENGTH_MAX).toWellFormed();
}

/** The envelope that a header spells; null for what no producer of ours wrote. */
function producerOf(text: string | undefined): Producer | null {
  if (text === undefined) return null;
  const byNumber = text.lastIndexOf("/");
  const byEpoch = text.lastIndexOf("/", byNumber - 1);
  if (byEpoch < 1) return null;
  const epoch = Number(text.slice(byEpoch + 1, byNumber));
  const number = Number(text.slice(byNumber + 1));
  return Number.isSafeInteger(epoch) && Number.isSafeInteger(number)
    ? { id: text.slice(0, byEpoch), epoch, number }
    : null;
}
