/**
 * A player on a bare socket: it signs in, takes its seat, acknowledges the join, sends input frames and reads the
 * length, kind and acknowledgement of what comes back, but decodes no state. It costs about a tenth of the SDK, so
 * that one core of clients can load one core of server. What it sends is byte for byte what the SDK would send.
 */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { decode, encode } from '@colyseus/schema';
import { addressHeaders, httpOrigin, type Player, type PlayerOptions } from './player.ts';
import { AckMeter, frameBytes, type Tally } from './tally.ts';

/** From @colyseus/shared-types, Protocol.ts of 0.18. */
const JOIN_ROOM = 10;
const ERROR = 11;
const ROOM_DATA = 13;
const ROOM_STATE = 14;
const ROOM_STATE_PATCH = 15;
const ROOM_DATA_BYTES = 17;
const ROOM_INPUT_RELIABLE = 19;
const TIMED = 0x80;
const CODE_MASK = 0x1f;
const INPUT_OPTIONS = 2;
const RENDER_TIME = 1;
const FIXED_TIMESTEP = 2;
const RECKON_TIME = 16;

/** How far in the past a real client would draw the others. */
const RENDER_DELAY_MS = 100;
const JOIN_TIMEOUT_MS = 15_000;
/** A server frame longer than this is no frame of a game: the stream is out of step. */
const FRAME_MAX_BYTES = 4 * 1024 * 1024;
/** A join handshake with reflection is some hundred bytes; a whole one is needed to read it. */
const PARTIAL_START_BYTES = 4096;

/** Reading copies out of it at once, so that all sockets of the process can share it. */
const READ_BUFFER = Buffer.allocUnsafe(256 * 1024);

interface Seat {
  readonly path: string;
  readonly roomId: string;
}

/** Joins and resolves when the server has let the player in. @throws Error saying which step failed and why */
export async function joinLight(options: PlayerOptions): Promise<Player> {
  const url = new URL(options.destination.endpoint);
  if (url.protocol !== 'ws:' && url.protocol !== 'http:') throw new Error('light clients speak ws: only, not wss:');
  const seat = await reserveSeat(options);
  const client = new LightClient(options, seat.roomId);
  await client.open(url.hostname, Number(url.port || 80), seat.path);
  return client;
}

async function reserveSeat(options: PlayerOptions): Promise<Seat> {
  const { destination, name, roomId } = options;
  if (destination.dialect === 'raw') return { path: destination.path ?? '/', roomId: '' };
  const origin = httpOrigin(destination.endpoint);
  const headers = addressHeaders(options);
  let token = '';
  if (destination.dialect === 'arena') {
    const answer = (await post(`${origin}/auth/anonymous`, {}, headers)) as { token?: unknown };
    if (typeof answer.token !== 'string') throw new Error('sign-in answered without a token');
    token = answer.token;
  }
  const method =
    roomId === undefined
      ? `joinOrCreate/${destination.roomName}`
      : roomId === 'create'
        ? `create/${destination.roomName}`
        : `joinById/${roomId}`;
  if (token !== '') headers['authorization'] = `Bearer ${token}`;
  const seat = (await post(`${origin}/matchmake/${method}`, { name }, headers)) as Record<string, string>;
  const query = new URLSearchParams({ sessionId: seat['sessionId'] ?? '' });
  if (token !== '') query.set('_authToken', token);
  return { path: `/${seat['processId']}/${seat['roomId']}?${query}`, roomId: seat['roomId'] ?? '' };
}

async function post(url: string, body: unknown, headers: Record<string, string>): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(JOIN_TIMEOUT_MS),
  });
  const text = await response.text();
  if (!response.ok)
    throw new Error(`${new URL(url).pathname.split('/')[1]} answered ${response.status} ${reason(text)}`);
  return JSON.parse(text) as unknown;
}

/** The message of an error answer, short enough to count by. */
function reason(text: string): string {
  try {
    const parsed = JSON.parse(text) as { code?: unknown; error?: unknown; message?: unknown };
    return String(parsed.error ?? parsed.message ?? parsed.code ?? text).slice(0, 80);
  } catch {
    return text.slice(0, 80);
  }
}

class LightClient implements Player {
  readonly roomId: string;
  advertisedRateHz = 0;
  readonly #options: PlayerOptions;
  readonly #tally: Tally;
  readonly #acks: AckMeter;
  readonly #mask = randomBytes(4);
  #socket!: Socket;
  #isUpgraded = false;
  #isOpen = false;
  #isLeaving = false;
  #settle: ((error?: Error) => void) | undefined;
  /** Bytes of a frame, or of the upgrade answer, that is not whole yet. */
  #partial = Buffer.allocUnsafe(0);
  #partialLength = 0;
  #step = 0;
  #flags = 0;
  /** Server clock minus ours, ms. */
  #clockOffsetMs = Number.NaN;
  #lastStampMs = 0;

  constructor(options: PlayerOptions, roomId: string) {
    this.#options = options;
    this.#tally = options.tally;
    this.#acks = new AckMeter(options.tally);
    this.roomId = roomId;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  open(host: string, port: number, path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle?.(new Error('join timed out')), JOIN_TIMEOUT_MS);
      this.#settle = (error) => {
        clearTimeout(timer);
        this.#settle = undefined;
        if (error === undefined) {
          this.#isOpen = true;
          resolve();
        } else {
          this.#isLeaving = true;
          this.#socket.destroy();
          reject(error);
        }
      };
      this.#socket = connect({
        host,
        port,
        noDelay: true,
        onread: {
          buffer: READ_BUFFER,
          callback: (length, buffer) => {
            this.#read(buffer as Buffer, length);
            return true;
          },
        },
      });
      this.#socket.on('connect', () => {
        const extra = Object.entries(addressHeaders(this.#options)).map(([name, value]) => `${name}: ${value}\r\n`);
        this.#socket.write(
          `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${extra.join('')}` +
            `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
        );
      });
      this.#socket.on('error', (error) => this.#settle?.(error));
      this.#socket.on('close', () => {
        this.#settle?.(new Error('the server closed the connection during the join'));
        if (this.#isOpen && !this.#isLeaving) {
          this.#tally.dropped++;
          this.#tally.lose('the connection ended, and light players do not come back');
        }
        this.#isOpen = false;
      });
    });
  }

  sendInput(nowMs: number): void {
    const { track, destination } = this.#options;
    const body = track.bodies[this.#step]!;
    this.#step = (this.#step + 1) % track.bodies.length;
    const isMessage = destination.dialect === 'plain';
    // Header, mask and the longest stamp are 6 + 1 + 11 bytes.
    const frame = Buffer.allocUnsafe(18 + body.length);
    const at = { offset: 7 };
    const isStamped = !isMessage && (this.#flags & (RENDER_TIME | RECKON_TIME)) !== 0;
    if (isStamped) this.#writeStamp(frame, at, nowMs);
    frame[6] = isMessage ? ROOM_DATA : ROOM_INPUT_RELIABLE | (isStamped ? TIMED : 0);
    frame.set(body, at.offset);
    this.#write(frame, at.offset + body.length);
    this.#acks.sent(nowMs);
  }

  leave(): void {
    this.#isLeaving = true;
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const frame = Buffer.allocUnsafe(8);
    // Close code 4000, consented: the server need not hold the seat.
    frame.writeUInt16BE(4000, 6);
    this.#write(frame, 8, 0x88);
    this.#socket.end();
  }

  /** As the SDK writes it: signed change since the last stamp; then, where both are wanted, how far back is drawn. */
  #writeStamp(frame: Buffer, at: { offset: number }, nowMs: number): void {
    const isBoth = (this.#flags & RENDER_TIME) !== 0 && (this.#flags & RECKON_TIME) !== 0;
    const isRenderOnly = (this.#flags & RECKON_TIME) === 0;
    const serverNowMs = Number.isNaN(this.#clockOffsetMs) ? 0 : Math.round(nowMs + this.#clockOffsetMs);
    const stampMs = Math.max(0, isRenderOnly ? serverNowMs - RENDER_DELAY_MS : serverNowMs);
    encode.number(frame, stampMs - this.#lastStampMs, at);
    this.#lastStampMs = stampMs;
    if (isBoth) encode.uint16(frame, RENDER_DELAY_MS, at);
  }

  /** Completes header and mask around the payload at `frame[6 .. end)` and sends it. */
  #write(frame: Buffer, end: number, opcode = 0x82): void {
    frame[0] = opcode;
    frame[1] = 0x80 | (end - 6);
    const mask = this.#mask;
    for (let i = 0; i < 4; i++) frame[2 + i] = mask[i]!;
    for (let i = 6; i < end; i++) frame[i]! ^= mask[(i - 6) & 3]!;
    this.#socket.write(frame.subarray(0, end));
  }

  #read(buffer: Buffer, length: number): void {
    let bytes = buffer.subarray(0, length);
    if (this.#partialLength > 0) {
      this.#keep(bytes);
      bytes = this.#partial.subarray(0, this.#partialLength);
      this.#partialLength = 0;
    }
    let at = this.#isUpgraded ? 0 : this.#readUpgrade(bytes);
    while (this.#isUpgraded) {
      const next = this.#readFrame(bytes, at);
      if (next < 0) break;
      at = next;
    }
    if (at < bytes.length && !this.#socket.destroyed) this.#keep(bytes.subarray(at));
  }

  #keep(bytes: Buffer): void {
    const need = this.#partialLength + bytes.length;
    if (need > this.#partial.length) {
      const grown = Buffer.allocUnsafe(Math.max(PARTIAL_START_BYTES, 2 * need));
      this.#partial.copy(grown, 0, 0, this.#partialLength);
      this.#partial = grown;
    }
    // `bytes` may be the end of `partial` itself; copy() moves overlapping memory correctly.
    bytes.copy(this.#partial, this.#partialLength);
    this.#partialLength = need;
  }

  /** @returns where the frames begin; 0 while the answer is not whole */
  #readUpgrade(bytes: Buffer): number {
    const end = bytes.indexOf('\r\n\r\n');
    if (end < 0) return 0;
    const status = bytes.toString('latin1', 0, bytes.indexOf('\r\n'));
    if (!status.startsWith('HTTP/1.1 101')) {
      this.#settle?.(new Error(`the upgrade was answered ${status.slice(9, 60)}`));
      return bytes.length;
    }
    this.#isUpgraded = true;
    if (this.#options.destination.dialect === 'raw') this.#settle?.();
    return end + 4;
  }

  /** @returns where the next frame begins; -1 when this one is not whole */
  #readFrame(bytes: Buffer, at: number): number {
    if (bytes.length - at < 2) return -1;
    let length = bytes[at + 1]! & 0x7f;
    let start = at + 2;
    if (length === 126) {
      if (bytes.length - at < 4) return -1;
      length = bytes.readUInt16BE(start);
      start += 2;
    } else if (length === 127) {
      if (bytes.length - at < 10) return -1;
      length = Number(bytes.readBigUInt64BE(start));
      start += 8;
    }
    if (length > FRAME_MAX_BYTES) {
      this.#socket.destroy(new Error(`a frame of ${length} bytes`));
      return bytes.length;
    }
    const end = start + length;
    if (bytes.length < end) return -1;
    const opcode = bytes[at]! & 0x0f;
    if (opcode === 2) this.#message(bytes, start, end);
    else if (opcode === 9) this.#pong(bytes.subarray(start, end));
    else if (opcode === 8) this.#socket.end();
    return end;
  }

  #pong(payload: Buffer): void {
    const frame = Buffer.allocUnsafe(6 + payload.length);
    payload.copy(frame, 6);
    this.#write(frame, frame.length, 0x8a);
  }

  #message(bytes: Buffer, start: number, end: number): void {
    if (end === start) return;
    const code = bytes[start]! & CODE_MASK;
    this.#tally.frames++;
    this.#tally.bytes += frameBytes(end - start);
    if (code === ROOM_STATE || code === ROOM_STATE_PATCH || code === ROOM_DATA_BYTES) this.#tally.patches++;
    if ((bytes[start]! & TIMED) !== 0) {
      const nowMs = performance.now();
      this.#clockOffsetMs = bytes.readUInt32LE(start + 1) - nowMs;
      this.#acks.acked(bytes.readUInt32LE(start + 5), nowMs);
    }
    if (code === JOIN_ROOM) this.#joined(bytes, start, end);
    else if (code === ERROR) {
      const at = { offset: start + 1 };
      const errorCode = decode.number(bytes, at);
      this.#settle?.(new Error(`join refused with ${errorCode} ${decode.string(bytes, at)}`.slice(0, 120)));
    }
  }

  /** Layout: core's Protocol.ts, JOIN_ROOM; of the sections only the input options matter here. */
  #joined(bytes: Buffer, start: number, end: number): void {
    const at = { offset: start + 1 };
    at.offset += 1 + bytes[at.offset]!;
    at.offset += 1 + bytes[at.offset]!;
    const reflectionLength = decode.number(bytes, at);
    at.offset += reflectionLength;
    while (at.offset < end) {
      const tag = bytes[at.offset++]!;
      const sectionLength = decode.number(bytes, at);
      const sectionEnd = at.offset + sectionLength;
      if (tag === INPUT_OPTIONS) {
        this.#flags = bytes[at.offset++]!;
        if ((this.#flags & FIXED_TIMESTEP) !== 0) this.advertisedRateHz = decode.number(bytes, at);
      }
      at.offset = sectionEnd;
    }
    const acknowledgement = Buffer.allocUnsafe(7);
    acknowledgement[6] = JOIN_ROOM;
    this.#write(acknowledgement, 7);
    this.#settle?.();
  }
}
