/** Zstandard for kafkajs, with which tests write what other programs may write. */
import type { Buffer } from "node:buffer";
import { zstdCompressSync } from "node:zlib";
import kafkajs from "kafkajs";

kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = () => ({
  compress: ({ buffer }: { readonly buffer: Buffer }) => Promise.resolve(zstdCompressSync(buffer)),
  decompress: () => Promise.reject(new Error("nobody reads by kafkajs")),
});
