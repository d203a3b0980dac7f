/**
 * The WebSocket transport with a guard before the framework's decoders. A frame of a wrong shape, or one whose handling
 * throws, costs its sender the connection and nobody else anything; unguarded it could loop, fill the memory or end the
 * process.
 */
import type { IncomingMessage } from 'node:http';
import { CloseCode } from '@colyseus/core';
import { type TransportOptions, WebSocketTransport } from '@colyseus/ws-transport';
import { type RawData, WebSocket } from 'ws';
import type { ErrorCode } from './kernel/errors.ts';
import { type FrameFault, faultOf, isBeforeJoin, isJoin } from './match/client-frame.ts';

/** Until a client that was thrown out must have closed its side. */
const CLOSE_GRACE_MS = 2_000;

export interface GuardReports {
  /** A client was thrown out for what it sent. */
  onRefusal(fault: FrameFault): void;
  /** Handling a frame or a connection threw: a bug. Its client was thrown out. */
  onBug(error: unknown): void;
}

type RawClient = Parameters<WebSocketTransport['onConnection']>[0];
type Upgrade = Parameters<WebSocketTransport['onConnection']>[2];

export class GuardedTransport extends WebSocketTransport {
  constructor(options: TransportOptions, reports: GuardReports) {
    super({ ...options, WebSocket: guardedSocket(reports) });
  }

  /** Cuts off everybody who is still there; the framework's own end waits for clients that never go. */
  terminateAll(): void {
    for (const client of this.wss.clients) client.terminate();
  }

  // The framework calls it as a listener of its server, without this transport as `this`, and drops what it returns.
  protected override async onConnection(socket: RawClient, request: IncomingMessage, upgrade?: Upgrade): Promise<void> {
    try {
      await super.onConnection(socket, request, upgrade);
    } catch (error) {
      (socket as unknown as Guarded).fail(error);
    }
  }
}

interface Guarded {
  /** Throws the client out for a bug of ours. */
  fail(error: unknown): void;
}

function guardedSocket(reports: GuardReports): typeof WebSocket {
  return class GuardedSocket extends WebSocket implements Guarded {
    #isJoined = false;
    #isThrownOut = false;

    override emit(event: string | symbol, ...args: unknown[]): boolean {
      if (event !== 'message') return super.emit(event, ...args);
      if (this.#isThrownOut) return false;
      const [data, isBinary] = args as [RawData, boolean];
      // A server's socket hands out one Buffer a message unless told otherwise.
      const fault = isBinary && Buffer.isBuffer(data) ? faultOf(data) : 'text';
      if (fault !== undefined) {
        reports.onRefusal(fault);
        this.#throwOut('INVALID_INPUT');
        return false;
      }
      if (!this.#isJoined) {
        this.#isJoined = isJoin(data as Buffer);
        // Answers to these would be kept for it until it acknowledges its join, however many they are.
        if (!this.#isJoined && !isBeforeJoin(data as Buffer)) return false;
      }
      try {
        return super.emit(event, ...args);
      } catch (error) {
        this.fail(error);
        return false;
      }
    }

    fail(error: unknown): void {
      reports.onBug(error);
      this.#throwOut('INTERNAL');
    }

    #throwOut(code: ErrorCode): void {
      this.#isThrownOut = true;
      this.close(CloseCode.WITH_ERROR, code);
      const timer = setTimeout(() => this.terminate(), CLOSE_GRACE_MS);
      this.once('close', () => clearTimeout(timer));
    }
  };
}
