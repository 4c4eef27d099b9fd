/**
 * Texts of strangers in a page: what they hold is shown, and never obeyed.
 *
 * **In** texts and values, **Out** HTML. **Knows** nothing.
 */

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** A text as it may stand between tags and in a quoted attribute; what no page can hold is shown as it is missing. */
export function escaped(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\ufffd").replace(/[&<>"']/g, (c) => ENTITIES[c]!);
}

/** A value as JSON that may stand in a script element: it holds no tag, so that it cannot end there or open another. */
export function carried(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** A relative path as the address of a link: it stays below the page's own place, whatever scheme it may look like. */
export function linkOf(path: string): string {
  return `./${path.split("/").map((part) => part === ".." ? part : encodeURIComponent(part.toWellFormed())).join("/")}`;
}
