/**
 * A message on Kafka: key and value as they are, the producer's envelope and the control flag as two short headers.
 *
 * **In** messages, and what kafkajs decoded; **Out** what the producers want, and records.
 * **Knows** `transport`, `codec`.
 */
import type { Buffer } from "node:buffer";
import type { IHeaders, KafkaMessage } from "kafkajs";
import { valueOf } from "../../codec.ts";
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

/** The record of a message that was read; a value that is absent (a tombstone) reads as empty text. */
export function recordOf({ key, value, headers }: KafkaMessage, offset: number): LogRecord {
  const keyed = { offset, key: key === null ? null : keyOf(key), value: value === null ? "" : valueOf(value) };
  if (headers === undefined) return keyed;
  const producer = producerOf(headers[PRODUCER]);
  const isControl = headers[CONTROL]?.toString() === "1";
  if (producer === null) return isControl ? { ...keyed, control: true } : keyed;
  return isControl ? { ...keyed, producer, control: true } : { ...keyed, producer };
}

function keyOf(key: Buffer): string {
  const text = key.toString();
  return text.length <= KEY_LENGTH_MAX ? text : text.slice(0, KEY_LENGTH_MAX).toWellFormed();
}

/** The envelope that a header spells; null for what no producer of ours wrote. */
function producerOf(header: IHeaders[string]): Producer | null {
  if (header === undefined || Array.isArray(header)) return null;
  const text = header.toString();
  const byNumber = text.lastIndexOf("/");
  const byEpoch = text.lastIndexOf("/", byNumber - 1);
  if (byEpoch < 1) return null;
  const epoch = Number(text.slice(byEpoch + 1, byNumber));
  const number = Number(text.slice(byNumber + 1));
  return Number.isSafeInteger(epoch) && Number.isSafeInteger(number)
    ? { id: text.slice(0, byEpoch), epoch, number }
    : null;
}
