/** Which room a WebSocket upgrade is for, read exactly as the framework's transport reads it. */

export interface RoomTarget {
  /** The process that gave the seat; it may have died since. */
  readonly processId: string;
  readonly roomId: string;
}

/** A room id of the framework has 9 characters; one of ours may be a match id. Longer ones are nobody's. */
const ID_CHARS_MAX = 64;

/**
 * @param url target of the request, beginning with one slash
 * @returns undefined when it names no room: the transport then answers, as it always did
 */
export function roomTargetOf(url: string): RoomTarget | undefined {
  // Through URL, as the transport does: `/p/x/../r` and `/p/%72` mean the same to both.
  if (!URL.canParse(`ws://server${url}`)) return undefined;
  const { pathname } = new URL(`ws://server${url}`);
  const [, processId, roomId] = /\/([a-zA-Z0-9_-]+)\/([a-zA-Z0-9_-]+)$/.exec(pathname) ?? [];
  if (processId === undefined || roomId === undefined) return undefined;
  if (processId.length > ID_CHARS_MAX || roomId.length > ID_CHARS_MAX) return undefined;
  return { processId, roomId };
}
