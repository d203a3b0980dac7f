/**
 * The WebSocket transport with a guard before the framework's decoders. A frame of a wrong shape, or one whose handling
 * throws, costs its sender the connection and nobody else anything; unguarded it could loop, fill the memory or end the
 * process.
 */
import type { IncomingMessage } from 'node:http';
import type { Writable } from 'node:stream';
import { CloseCode } from '@colyseus/core';
import { type TransportOptions, WebSocketTransport } from '@colyseus/ws-transport';
import type { RawData } from 'ws';
import { FastSocket, type FastSocketOptions } from './fast-socket.ts';
import { CLOSE, type ErrorCode } from './kernel/errors.ts';
import { isParkedRoom } from './match/adoption.ts';
import {
  type FrameFault,
  faultOf,
  type InputLayout,
  isBeforeJoin,
  isInputFrame,
  isJoin,
} from './match/client-frame.ts';

/** Until a client that was thrown out must have closed its side. */
const CLOSE_GRACE_MS = 2_000;
/** Inputs kept of a client that plays on while it comes back: two seconds of an honest one. Above: the newest are dropped. */
const EARLY_INPUTS_MAX = 128;

export interface GuardReports {
  /** A client was thrown out for what it sent. */
  onRefusal(fault: FrameFault): void;
  /** Handling a frame or a connection threw: a bug. Its client was thrown out. */
  onBug(error: unknown): void;
}

export interface GuardOptions extends TransportOptions, Partial<Omit<FastSocketOptions, 'frameBytesMax'>> {
  /** Longest frame of a client, bytes; above, it is closed with 1009. */
  readonly maxPayload: number;
}

type RawClient = Parameters<WebSocketTransport['onConnection']>[0];
type Upgrade = Parameters<WebSocketTransport['onConnection']>[2];

export class GuardedTransport extends WebSocketTransport {
  constructor(options: GuardOptions, reports: GuardReports) {
    const { isFast = true, afterRead, ...rest } = options;
    const frameBytesMax = rest.maxPayload;
    const fast = { isFast, frameBytesMax, ...(afterRead === undefined ? {} : { afterRead }) };
    super({ ...rest, WebSocket: guardedSocket(reports, fast) });
  }

  /** Cuts off everybody who is still there; the framework's own end waits for clients that never go. */
  terminateAll(): void {
    for (const client of this.wss.clients) client.terminate();
  }

  /** Whoever sent anything lately is alive: only the silent are asked, and cut off when they stay so. */
  protected override autoTerminateUnresponsiveClients(everyMs: number, unansweredMax: number): void {
    this.pingInterval = setInterval(() => {
      for (const socket of this.wss.clients as Set<FastSocket & { pingCount: number }>) {
        if (socket.wasHeard()) socket.pingCount = 0;
        else if (socket.pingCount++ >= unansweredMax) socket.terminate();
        else socket.ping();
      }
    }, everyMs);
  }

  // The framework calls it as a listener of its server, without this transport as `this`, and drops what it returns.
  protected override async onConnection(socket: RawClient, request: IncomingMessage, upgrade?: Upgrade): Promise<void> {
    (socket as unknown as Guarded).start(request.socket);
    try {
      // The framework looks rooms up in an object that has inherited members.
      const roomId = /\/([^/?]*)(?:\?|$)/.exec(request.url ?? '')?.[1];
      if (roomId !== undefined && roomId in Object.prototype) {
        socket.close(CloseCode.WITH_ERROR, 'NOT_FOUND');
        return;
      }
      if (roomId !== undefined && isParkedRoom(roomId)) {
        socket.close(CLOSE.MATCH_PARKED, 'MATCH_PARKED');
        return;
      }
      await super.onConnection(socket, request, upgrade);
    } catch (error) {
      (socket as unknown as Guarded).fail(error);
    }
  }
}

interface Guarded {
  /** Opens the short way for frames. */
  start(socket: Writable): void;
  /** Throws the client out for a bug of ours. */
  fail(error: unknown): void;
  /** From now on inputs must look like this. */
  expectInputs(layout: InputLayout | undefined): void;
}

function guardedSocket(reports: GuardReports, fast: FastSocketOptions): typeof FastSocket {
  return class GuardedSocket extends FastSocket implements Guarded {
    #inputs: InputLayout | undefined;
    #isJoined = false;
    #isThrownOut = false;
    readonly #early: Buffer[] = [];

    override emit(event: string | symbol, ...args: unknown[]): boolean {
      if (event === 'error') {
        // What could not be read as WebSocket at all; it closes with the standard's own code. The framework would log
        // it as a fault of the server.
        reports.onRefusal('protocol');
        return true;
      }
      if (event !== 'message') return super.emit(event, ...args);
      if (this.#isThrownOut) return false;
      const [data, isBinary] = args as [RawData, boolean];
      // A server's socket hands out one Buffer a message unless told otherwise.
      const fault = isBinary && Buffer.isBuffer(data) ? faultOf(data, this.#inputs) : 'text';
      if (fault !== undefined) {
        reports.onRefusal(fault);
        this.#throwOut('INVALID_INPUT');
        return false;
      }
      if (!this.#isJoined) {
        const frame = data as Buffer;
        this.#isJoined = isJoin(frame);
        if (!this.#isJoined && isInputFrame(frame)) {
          // An SDK that reconnects sends inputs as soon as the socket is open, and counts on their acknowledgement.
          if (this.#early.length < EARLY_INPUTS_MAX) this.#early.push(Buffer.from(frame));
          return true;
        }
        // Answers to these would be kept for it until it acknowledges its join, however many they are.
        if (!this.#isJoined && !isBeforeJoin(frame)) return false;
      }
      const wasHandled = this.#hand(args);
      for (const early of this.#isJoined ? this.#early.splice(0) : []) this.#hand([early, true]);
      return wasHandled;
    }

    #hand(args: unknown[]): boolean {
      try {
        return super.emit('message', ...args);
      } catch (error) {
        this.fail(error);
        return false;
      }
    }

    expectInputs(layout: InputLayout | undefined): void {
      this.#inputs = layout;
    }

    start(socket: Writable): void {
      this.startFast(socket, fast);
    }

    override fail(error: unknown): void {
      reports.onBug(error);
      this.#throwOut('INTERNAL');
    }

    #throwOut(code: ErrorCode): void {
      this.#isThrownOut = true;
      this.tap = undefined;
      this.close(CloseCode.WITH_ERROR, code);
      const timer = setTimeout(() => this.terminate(), CLOSE_GRACE_MS);
      this.once('close', () => clearTimeout(timer));
    }
  };
}
