/**
 * Decompression with a bound: a small batch that unpacks to gigabytes must end in an error, not in swap.
 *
 * A codec does not learn whose batch it unpacks: whoever fetched adds topic and partition to an {@linkcode Unreadable}.
 * **In** compressed records, **Out** the same unpacked. **Knows** `transport`, `failure`.
 */
import type { Buffer } from "node:buffer";
import { promisify } from "node:util";
import zlib from "node:zlib";
import { reasonOf } from "../../failure.ts";
import { CHECKPOINT_BYTES_MAX } from "../../transport.ts";

/** Bytes that one batch may unpack to. */
export const BATCH_BYTES_MAX = 2 * CHECKPOINT_BYTES_MAX;

/** A batch that cannot be read, and never will be. `message` reads "it …, must …". */
export class Unreadable extends Error {
  override readonly name = "Unreadable";
}

type Unpack = (packed: Buffer, options: { readonly maxOutputLength: number }) => Promise<Buffer>;
/** Codecs by their number in a batch's attributes. */
const CODECS: readonly (string | Unpack)[] = [
  "none",
  promisify(zlib.gunzip) as Unpack,
  "snappy",
  "lz4",
  promisify(zlib.zstdDecompress) as Unpack,
];

/** The records of a batch that was packed by a codec. @throws {Unreadable} beyond the bound, and where it does not unpack */
export async function unpack(codec: number, packed: Buffer): Promise<Buffer> {
  const unpacked = CODECS[codec] ?? `codec ${codec}`;
  if (typeof unpacked === "string") {
    throw new Unreadable(`it is compressed with ${unpacked}, must be plain, gzip or zstd`);
  }
  try {
    return await unpacked(packed, { maxOutputLength: BATCH_BYTES_MAX });
  } catch (error) {
    const tooLarge = (error as { readonly code?: string }).code === "ERR_BUFFER_TOO_LARGE";
    throw new Unreadable(
      tooLarge
        ? `it unpacks to more than ${BATCH_BYTES_MAX} bytes, must unpack to less`
        : `it does not unpack (${reasonOf(error)}), must be whole`,
    );
  }
}
