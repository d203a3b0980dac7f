/**
 * The stock Schema serializer, plus hot segments: deltas of full-state-only fields, written once per entity
 * and patch and appended to each client's frame in the standard wire format, so that every stock SDK decodes
 * them. Which entities a frame carries is the {@link HotSource}'s to say; the values are absolute, so leaving
 * some out is harmless as long as they follow later.
 *
 * A room uses it by overriding one method. The framework calls it before it hands the state to the serializer;
 * replacing the serializer any later would give every structure a second identity.
 * ```ts
 * override setSerializer(): void {
 *   super.setSerializer(new HotSerializer(this.plugins.interest));
 * }
 * ```
 * Differences to the stock one that a client can notice: one frame per client and patch even where only its
 * view changed, and no frame at all while its socket is clogged. Two clients may not share one `StateView`.
 */
import {
  type Client,
  ClientState,
  Protocol,
  ProtocolModifier,
  SchemaSerializer,
  type Serializer,
} from '@colyseus/core';
import type { ChangeTree, Iterator, Schema, StateView } from '@colyseus/schema';
import { type ClientSocket, collectFilteredChanges, hasStreams, inputStoreOf, socketOf } from './colyseus-internals.ts';
import { headBytesOf, type ShortWay, WHOLE_PAYLOAD_MAX, writeHead } from './short-way.ts';

/** Server time of a patch; there is one in rooms that called `defineInput`, and then frames carry the prefix below. */
type PatchTimingContext = NonNullable<Parameters<Serializer<Schema>['applyPatches']>[2]>;

const CODE_BYTES = 1;
/** `[uint32 ms since room start][uint32 input acknowledged]`, little-endian. */
const TIMED_BYTES = 8;
/** Below this many bytes a loop is faster than a native copy. */
const NATIVE_COPY_MIN_BYTES = 48;
/** With more dirty structures than this, asking for each whether a client sees it costs more than encoding. */
const VISIBILITY_CHECKS_MAX = 16;

/** Says what hot bytes go to whom. The interest plugin is one. */
export interface HotSource {
  /** Brings every client's view up to date and encodes what changed. `clients` stays the same until `endPatch`. */
  beginPatch(clients: readonly Client[], nowMs: number): void;
  /**
   * Puts the hot segments of `clients[index]` into {@link hotBytes}.
   * @param otherBytes size of the frame without them
   * @param isDroppable the frame carries nothing that must arrive
   * @returns bytes written, or -1 to send no frame
   */
  compose(index: number, otherBytes: number, isDroppable: boolean): number;
  readonly hotBytes: Uint8Array;
  /** Called after each frame that was sent. Other rooms may take their turn here. */
  afterSend(): void;
  endPatch(): void;
  /** Brings the client's view up to date before its full state is encoded. */
  beginFullState(client: Client): void;
  /** The client now has the current value of everything in its view. */
  endFullState(client: Client, frameBytes: number): void;
}

/** Somebody who has joined, asked once: the framework's client objects are slow to read. */
interface Recipient {
  readonly client: Client;
  readonly socket: ClientSocket;
  readonly inputs: { readonly ackSeq: number } | undefined;
}

export class HotSerializer<State extends Schema = Schema> extends SchemaSerializer<State> {
  readonly #source: HotSource;
  readonly #filtered: ChangeTree[] = [];
  /** The patch's frames, and whom they are for. */
  readonly #frames: Uint8Array[] = [];
  readonly #ways: (ShortWay | Client)[] = [];
  /** By place in the list of clients: who was there in the last patch. */
  readonly #recipients: (Recipient | undefined)[] = [];

  constructor(source: HotSource) {
    super();
    this.#source = source;
  }

  override getFullState(client?: Client, timing?: PatchTimingContext): Uint8Array {
    if (client !== undefined) this.#source.beginFullState(client);
    // Hot fields change without a trace in the encoder, so a cached full state may be stale at any time.
    this.needFullEncode = true;
    let frame: Uint8Array = super.getFullState(client, timing);
    // Without a view or timing the stock answer lies in a buffer that the next joiner's state overwrites,
    // while the socket may still hold it.
    if (client?.view === undefined && timing === undefined) frame = frame.slice();
    if (client !== undefined) this.#source.endFullState(client, frame.length);
    return frame;
  }

  override applyPatches(clients: Client[], _state?: unknown, timing?: PatchTimingContext): boolean {
    const encoder = this.encoder;
    const source = this.#source;
    source.beginPatch(clients, timing?.sNow ?? performance.now());

    const hasChanges = encoder.hasChanges;
    if (clients.length > 0) {
      const at: Iterator = { offset: CODE_BYTES };
      encoder.sharedBuffer[0] = Protocol.ROOM_STATE_PATCH;
      const shared = hasChanges ? encoder.encode(at) : encoder.sharedBuffer.subarray(0, CODE_BYTES);
      const sharedEnd = at.offset;
      const filtered = this.#filtered;
      collectFilteredChanges(encoder, filtered);
      const isViewPassNeeded = filtered.length > VISIBILITY_CHECKS_MAX || hasStreams(encoder);

      this.#recipients.length = clients.length;
      for (let index = 0; index < clients.length; index++) {
        const recipient = this.#recipientAt(index, clients[index]!);
        if (recipient === undefined) continue;
        const { view } = recipient.client;
        let body: Uint8Array = shared;
        if (view !== undefined && (isViewPassNeeded || view.changes.size > 0 || seesAny(view, filtered))) {
          // The view's bytes are copied out, so every view may use the room behind the shared ones.
          at.offset = sharedEnd;
          body = encoder.encodeView(view, sharedEnd, at);
        }
        this.#frame(recipient, index, body, timing);
      }
      filtered.length = 0;
    }
    encoder.discardChanges();
    // All frames first, then all sending: the system's part of it would push ours out of the processor's caches.
    this.#send();
    source.endPatch();
    return hasChanges;
  }

  /** @returns undefined for one that is still joining. Who leaves is taken out of the list at once. */
  #recipientAt(index: number, client: Client): Recipient | undefined {
    const known = this.#recipients[index];
    if (known?.client === client) return known;
    const found =
      client.state === ClientState.JOINED
        ? { client, socket: socketOf(client), inputs: inputStoreOf(client) }
        : undefined;
    this.#recipients[index] = found;
    return found;
  }

  #send(): void {
    const frames = this.#frames;
    const ways = this.#ways;
    for (let i = 0; i < frames.length; i++) {
      const way = ways[i]!;
      if ('sendWhole' in way) way.sendWhole(frames[i]!);
      else way.raw(frames[i]!);
      this.#source.afterSend();
    }
    frames.length = 0;
    ways.length = 0;
  }

  #frame(recipient: Recipient, index: number, body: Uint8Array, timing: PatchTimingContext | undefined): void {
    const { client, socket, inputs } = recipient;
    const headBytes = timing === undefined ? CODE_BYTES : CODE_BYTES + TIMED_BYTES;
    const coldBytes = body.length - CODE_BYTES;
    const hotBytes = this.#source.compose(index, headBytes + coldBytes, coldBytes === 0);
    if (hotBytes < 0 || (timing === undefined && coldBytes + hotBytes === 0)) return;

    const payloadBytes = headBytes + coldBytes + hotBytes;
    const isWhole = socket.isShort === true && payloadBytes <= WHOLE_PAYLOAD_MAX;
    let at = isWhole ? headBytesOf(payloadBytes) : 0;
    // The socket may keep the frame until the system takes it, so each has memory of its own.
    const frame = Buffer.allocUnsafe(at + payloadBytes);
    if (isWhole) writeHead(frame, payloadBytes);
    frame[at] = Protocol.ROOM_STATE_PATCH;
    if (timing !== undefined) {
      frame[at]! |= ProtocolModifier.TIMED;
      writeUint32(frame, at + 1, timing.sNow);
      writeUint32(frame, at + 5, inputs?.ackSeq ?? 0);
    }
    at += headBytes;
    copy(body, CODE_BYTES, coldBytes, frame, at);
    copy(this.#source.hotBytes, 0, hotBytes, frame, at + coldBytes);
    this.#frames.push(frame);
    this.#ways.push(isWhole ? (socket as ClientSocket & ShortWay) : client);
  }
}

function seesAny(view: StateView, structures: readonly ChangeTree[]): boolean {
  for (const structure of structures) if (view.isChangeTreeVisible(structure)) return true;
  return false;
}

function writeUint32(to: Uint8Array, at: number, value: number): void {
  const word = value >>> 0;
  to[at] = word & 255;
  to[at + 1] = (word >>> 8) & 255;
  to[at + 2] = (word >>> 16) & 255;
  to[at + 3] = word >>> 24;
}

function copy(from: Uint8Array, start: number, bytes: number, to: Uint8Array, at: number): void {
  if (bytes >= NATIVE_COPY_MIN_BYTES) {
    to.set(from.subarray(start, start + bytes), at);
  } else {
    for (let i = 0; i < bytes; i++) to[at + i] = from[start + i]!;
  }
}
