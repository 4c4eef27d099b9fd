/**
 * A line of a recorded capture, in each of the envelopes that recorders write around a venue's own words.
 *
 * | line                                                    | what it is                                          |
 * |---------------------------------------------------------|-----------------------------------------------------|
 * | `NANOSECONDS frame`                                     | a frame and when it was received                    |
 * | `SECONDS.FRACTION: frame`                               | the same                                            |
 * | `https://… -> SECONDS.FRACTION: body`                   | the answer to a request, and when it was received   |
 * | `wss://… <-> SECONDS.FRACTION`, `wss://… <- SECONDS.FRACTION: text` | the recorder's note of what it opened or sent |
 * | `{"recv_ts_ns":NANOSECONDS,"payload":"frame"}`          | a frame and when it was received                    |
 * | `{"note":"…","payload":"frame"}`                        | a frame                                             |
 * | `{"source":"…","line":N,"protobuf_base64":"…"}`         | the base64 of a frame of bytes                      |
 * | anything else                                           | a frame                                             |
 *
 * **In** a line, **Out** the frame in it. **Knows** `tick`.
 */
import { isMicros } from "./tick.ts";

/** A venue's words, and what the recorder wrote around them. */
export interface Enveloped {
  /** µs since the epoch, finer digits cut off; null where the line tells none. */
  readonly receivedTime: number | null;
  readonly frame: string;
  /** The request that this answers; absent for what came over a socket. */
  readonly request?: string;
}

// A number of this form that is no time is no envelope: its unit is not known, and a time is never made up.
const NANOSECONDS = /^(\d{16})\d{3} /;
const SECONDS = /^(\d{10})\.(\d{1,9}): /;
const ANSWER = /^(https?:\/\/\S{1,2048}) -> (\d{10})\.(\d{1,9}): /;
const NOTE = /^wss?:\/\/\S{1,16384} <(?:->|-) \d{10}(?:\.\d{1,9})?(?:: |$)/;
const OBJECT = /^\{"(?:recv_ts_ns|note|source)":/;
const RECEIVED = /^\{"recv_ts_ns":(\d{16})\d{3},/;

/** What the line holds; null for a note of the recorder's own. */
export function unwrap(line: string): Enveloped | null {
  switch (line.charCodeAt(0)) {
    case 123:
      return (OBJECT.test(line) ? unwrapObject(line) : undefined) ?? { receivedTime: null, frame: line };
    case 104:
      return timed(line, ANSWER);
    case 119:
      return NOTE.test(line) ? null : { receivedTime: null, frame: line };
    default:
      return line.charCodeAt(10) === 46 ? timed(line, SECONDS) : stamped(line);
  }
}

function stamped(line: string): Enveloped {
  const envelope = NANOSECONDS.exec(line);
  const receivedTime = Number(envelope?.[1]);
  if (envelope === null || !isMicros(receivedTime)) return { receivedTime: null, frame: line };
  return { receivedTime, frame: line.slice(envelope[0].length) };
}

function timed(line: string, pattern: RegExp): Enveloped {
  const envelope = pattern.exec(line);
  if (envelope === null) return { receivedTime: null, frame: line };
  const [seconds, fraction] = envelope.slice(-2) as [string, string];
  const receivedTime = Number(seconds + fraction.slice(0, 6).padEnd(6, "0"));
  const frame = line.slice(envelope[0].length);
  const request = envelope.length > 3 ? { request: envelope[1]! } : {};
  return { receivedTime: isMicros(receivedTime) ? receivedTime : null, frame, ...request };
}

function unwrapObject(line: string): Enveloped | undefined {
  let value: Readonly<Record<string, unknown>>;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const frame = value.payload ?? value.protobuf_base64;
  if (typeof frame !== "string") return undefined;
  const receivedTime = Number(RECEIVED.exec(line)?.[1]);
  return { receivedTime: isMicros(receivedTime) ? receivedTime : null, frame };
}
