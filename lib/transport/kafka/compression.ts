/**
 * Decompression with a bound, for kafkajs: a small batch that unpacks to gigabytes must end in an error, not in swap.
 *
 * The codecs of kafkajs belong to the process, and a codec does not learn whose batch it unpacks: whoever fetched adds
 * topic and partition to an {@linkcode Unreadable}.
 * **In** compressed records, **Out** the same unpacked. **Knows** `transport`, `failure`.
 */
import type { Buffer } from "node:buffer";
import { promisify } from "node:util";
import zlib from "node:zlib";
import kafkajs from "kafkajs";
import { reasonOf } from "../../failure.ts";
import { CHECKPOINT_BYTES_MAX } from "../../transport.ts";

/** Bytes that one batch may unpack to. */
export const BATCH_BYTES_MAX = 2 * CHECKPOINT_BYTES_MAX;

/** A batch that cannot be unpacked, and never will be. `message` reads "it …, must …". */
export class Unreadable extends Error {
  override readonly name = "Unreadable";
}

type Unpack = (packed: Buffer, options: { readonly maxOutputLength: number }) => Promise<Buffer>;
const bounded = (unpack: Unpack) => async (packed: Buffer): Promise<Buffer> => {
  try {
    return await unpack(packed, { maxOutputLength: BATCH_BYTES_MAX });
  } catch (error) {
    const tooLarge = (error as { readonly code?: string }).code === "ERR_BUFFER_TOO_LARGE";
    throw new Unreadable(
      tooLarge
        ? `it unpacks to more than ${BATCH_BYTES_MAX} bytes, must unpack to less`
        : `it does not unpack (${reasonOf(error)}), must be whole`,
    );
  }
};
const absent = (name: string) => () => {
  throw new Unreadable(`it is compressed with ${name}, must be plain, gzip or zstd`);
};

/** Replaces the codecs of kafkajs in this process. */
export function boundCodecs(): void {
  const { CompressionCodecs, CompressionTypes } = kafkajs;
  const codec = (pack: (plain: Buffer) => Promise<Buffer>, unpack: Unpack) => () => ({
    compress: ({ buffer }: { readonly buffer: Buffer }) => pack(buffer),
    decompress: bounded(unpack),
  });
  CompressionCodecs[CompressionTypes.GZIP] = codec(promisify(zlib.gzip), promisify(zlib.gunzip));
  CompressionCodecs[CompressionTypes.ZSTD] = codec(promisify(zlib.zstdCompress), promisify(zlib.zstdDecompress));
  CompressionCodecs[CompressionTypes.Snappy] = () => ({ compress: absent("snappy"), decompress: absent("snappy") });
  CompressionCodecs[CompressionTypes.LZ4] = () => ({ compress: absent("lz4"), decompress: absent("lz4") });
}
