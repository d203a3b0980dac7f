/**
 * The socket of a player: `ws` with a short way for the frames that make up a match.
 *
 * In: a whole, unfragmented binary frame is unmasked where it lies and handed to the tap, or emitted as `message`. Out:
 * header and payload of a binary frame go to the system in one piece. Everything else is left to `ws`, byte for byte:
 * text, fragments, control frames, frames that arrive in parts, and whatever breaks the protocol, with its answers 1002,
 * 1007 and 1009. So the short way holds no state but how many bytes of a frame `ws` is still owed.
 *
 * With `isFast` false every byte takes the long way; nothing but the speed differs.
 */
import { Writable } from 'node:stream';
import { WebSocket } from 'ws';
import type { FrameHold } from './match/hold-back.ts';
import { type FrameTap, headBytesOf, type ShortWay, WHOLE_PAYLOAD_MAX, writeHead } from './match/short-way.ts';

const FINAL_BINARY = 0x82;
const MASKED = 0x80;
const LENGTH_BITS = 0x7f;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
const MASK_BYTES = 4;
const NOTHING = Buffer.alloc(0);
/** A socket that is told to close does so by then, with or without the frames that are held before it. */
const CLOSE_HELD_MS = 1_000;

/** The part of `ws` that gets what the system has read; private there, named in one test. */
interface SocketInside {
  readonly _receiver?: Writable | null;
}

export interface FastSocketOptions {
  readonly isFast: boolean;
  /** The server's `maxPayload`. */
  readonly frameBytesMax: number;
  /** Called after each piece of what a client sent was handled; for work that should not wait for all of them. */
  readonly afterRead?: () => void;
}

type SendOptions = Parameters<WebSocket['send']>[1] | ((error?: Error) => void);

export class FastSocket extends WebSocket implements ShortWay {
  tap: FrameTap | undefined;
  hold: FrameHold | undefined;
  #socket: Writable | undefined;
  #receiver: Writable | undefined;
  #write: (chunk: Buffer) => boolean = () => true;
  #frameBytesMax = 0;
  #afterRead: (() => void) | undefined;
  /** The beginning of a frame whose length is not known yet, at most nine. */
  #header: Buffer = NOTHING;
  /** Bytes of the current frame that `ws` has not had yet; Infinity once the rest of the stream is its own. */
  #owedBytes = 0;
  /** A message that comes in fragments is not complete. */
  #isFragmented = false;
  /** We are sending a message in fragments. */
  #isSendingFragments = false;
  #wasHeard = false;

  /**
   * Opens the short way. Call it in the server's `connection` event: nothing was read yet.
   * @param socket the one below, `request.socket`
   */
  startFast(socket: Writable, { isFast, frameBytesMax, afterRead }: FastSocketOptions): void {
    const receiver = (this as unknown as SocketInside)._receiver;
    // Compression is for `ws`; and if an upgrade moved its receiver, all of it is (a test says so).
    if (!isFast || !(receiver instanceof Writable) || this.extensions !== '') return;
    this.#socket = socket;
    this.#receiver = receiver;
    this.#frameBytesMax = frameBytesMax;
    this.#afterRead = afterRead;
    this.#write = receiver.write.bind(receiver) as (chunk: Buffer) => boolean;
    receiver.write = (chunk: unknown): boolean => this.#read(chunk as Buffer);
  }

  get isShort(): boolean {
    return this.#receiver !== undefined;
  }

  /** Whether anything came since it was last asked; always false on the long way. */
  wasHeard(): boolean {
    const wasHeard = this.#wasHeard;
    this.#wasHeard = false;
    return wasHeard;
  }

  /** Handling a frame threw. */
  fail(error: unknown): void {
    throw error;
  }

  override send(data: unknown, options?: SendOptions, done?: (error?: Error) => void): void {
    const { hold } = this;
    if (hold !== undefined) {
      // The sender may use its buffer again as soon as this returns.
      const own = data instanceof Uint8Array ? Buffer.from(data) : data;
      const bytes = own instanceof Uint8Array ? own.length : String(own).length;
      if (hold.keep(bytes, () => this.#send(own, options, done))) return;
    }
    this.#send(data, options, done);
  }

  /** Waits for the frames that are held before it. */
  override close(code?: number, reason?: string | Buffer): void {
    let late: NodeJS.Timeout | undefined;
    const close = (): void => {
      clearTimeout(late);
      super.close(code, reason);
    };
    if (this.hold?.keepClose(close) !== true) close();
    else late = setTimeout(close, CLOSE_HELD_MS).unref();
  }

  #send(data: unknown, options?: SendOptions, done?: (error?: Error) => void): void {
    const socket = this.#socket;
    const isFragment = typeof options === 'object' && options.fin === false;
    if (
      socket === undefined ||
      isFragment ||
      this.#isSendingFragments ||
      this.readyState !== WebSocket.OPEN ||
      !(data instanceof Uint8Array) ||
      data.length > WHOLE_PAYLOAD_MAX ||
      typeof options !== 'object' ||
      options.binary !== true
    ) {
      this.#isSendingFragments = isFragment;
      super.send(data as Buffer, options as object, done);
      return;
    }
    const headBytes = headBytesOf(data.length);
    const frame = Buffer.allocUnsafe(headBytes + data.length);
    writeHead(frame, data.length);
    frame.set(data, headBytes);
    // As `ws` does: what goes wrong is told by the socket's own events.
    socket.write(frame, done as (error?: Error | null) => void);
  }

  sendWhole(frame: Uint8Array): void {
    if (this.hold?.keep(frame.length, () => this.#sendWhole(frame)) !== true) this.#sendWhole(frame);
  }

  #sendWhole(frame: Uint8Array): void {
    if (this.readyState === WebSocket.OPEN) this.#socket?.write(frame);
  }

  /** @returns false where the sender is to wait, as `Writable.write` does */
  #read(chunk: Buffer): boolean {
    let bytes = chunk;
    this.#wasHeard = true;
    if (this.#header.length > 0) {
      bytes = Buffer.concat([this.#header, chunk]);
      this.#header = NOTHING;
    }
    let at = 0;
    let goesOn = true;
    while (at < bytes.length) {
      if (this.#owedBytes === 0) {
        const next = this.#takeWhole(bytes, at);
        if (next > at) {
          at = next;
          continue;
        }
        const frameBytes = this.#frameBytesOf(bytes, at);
        if (frameBytes === 0) {
          this.#header = Buffer.from(bytes.subarray(at));
          break;
        }
        this.#owedBytes = frameBytes;
      }
      const part = Math.min(this.#owedBytes, bytes.length - at);
      goesOn = this.#write(bytes.subarray(at, at + part)) && goesOn;
      this.#owedBytes -= part;
      at += part;
      if (this.#receiver!.errored !== null || this.#receiver!.writableEnded) {
        // The stream broke or said goodbye: what comes after is nobody's.
        this.#owedBytes = Number.POSITIVE_INFINITY;
        break;
      }
    }
    this.#afterRead?.();
    return goesOn;
  }

  /** Handles the frame at `at` if it is whole and of the usual kind. @returns where the next one begins, or `at` */
  #takeWhole(bytes: Buffer, at: number): number {
    const left = bytes.length - at;
    if (left < 6 || bytes[at] !== FINAL_BINARY || this.#isFragmented) return at;
    let length = bytes[at + 1]! - MASKED;
    let mask = at + 2;
    if (length >= LENGTH_16) {
      if (length === LENGTH_64 || left < 8) return at;
      length = (bytes[mask]! << 8) | bytes[mask + 1]!;
      mask += 2;
    }
    const start = mask + MASK_BYTES;
    const end = start + length;
    // Negative: not masked.
    if (length < 0 || length > this.#frameBytesMax || end > bytes.length) return at;
    for (let i = start; i < end; i++) bytes[i]! ^= bytes[mask + ((i - start) & 3)]!;
    this.#hand(bytes, start, end);
    return end;
  }

  #hand(bytes: Buffer, start: number, end: number): void {
    try {
      if (this.tap?.take(bytes, start, end) === true) return;
      this.emit('message', bytes.subarray(start, end), true);
    } catch (error) {
      this.fail(error);
    }
  }

  /**
   * How many bytes of the stream, from the frame that begins at `at`, are for `ws`: that frame, or all that is to come
   * if the frame ends the conversation. 0 if the header is not whole. Notes where fragmented messages begin and end.
   */
  #frameBytesOf(bytes: Buffer, at: number): number {
    const left = bytes.length - at;
    if (left < 2) return 0;
    const first = bytes[at]!;
    const opcode = first & 0x0f;
    const isFinal = (first & 0x80) !== 0;
    let length = bytes[at + 1]! & LENGTH_BITS;
    const headerBytes = (length === LENGTH_16 ? 4 : length === LENGTH_64 ? 10 : 2) + MASK_BYTES;
    const isLegal = (first & 0x70) === 0 && (bytes[at + 1]! & MASKED) !== 0;
    if (!isLegal || opcode === CLOSE) return Number.POSITIVE_INFINITY;
    if (opcode === PING || opcode === PONG) {
      return isFinal && length < LENGTH_16 ? headerBytes + length : Number.POSITIVE_INFINITY;
    }
    const isContinued = opcode === CONTINUATION;
    if ((!isContinued && opcode !== TEXT && opcode !== BINARY) || isContinued !== this.#isFragmented) {
      return Number.POSITIVE_INFINITY;
    }
    if (left < headerBytes - MASK_BYTES) return 0;
    if (length === LENGTH_16) length = bytes.readUInt16BE(at + 2);
    else if (length === LENGTH_64) length = bytes.readUInt32BE(at + 2) * 2 ** 32 + bytes.readUInt32BE(at + 6);
    if (length > this.#frameBytesMax) return Number.POSITIVE_INFINITY;
    this.#isFragmented = !isFinal;
    return headerBytes + length;
  }
}
