/** Questions and commands of the signed-in player. Renews its token, and repeats what may be repeated. */
import { Refusal, send } from './http.ts';
import type { Session } from './session.ts';

const ATTEMPTS_MAX = 3;
const RETRY_MS = 600;

export class Api {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** @throws Refusal; TypeError when there is no connection */
  get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.#ask<T>('GET', path, undefined, undefined, signal);
  }

  /** A command that says how it shall be, so that repeating it changes nothing. @throws as {@link get} */
  put<T>(path: string, body?: unknown): Promise<T> {
    return this.#ask<T>('PUT', path, body);
  }

  /** @throws as {@link get} */
  delete<T>(path: string): Promise<T> {
    return this.#ask<T>('DELETE', path);
  }

  /** A command that happens once, however often it has to be sent. @throws as {@link get} */
  post<T>(path: string, body: unknown = {}): Promise<T> {
    return this.#ask<T>('POST', path, body, newKey());
  }

  async #ask<T>(method: string, path: string, body?: unknown, key?: string, signal?: AbortSignal): Promise<T> {
    let isRenewed = false;
    for (let attempt = 1; ; attempt++) {
      const token = await this.#session.token();
      try {
        return await send<T>(method, path, { body, token, key, signal });
      } catch (error) {
        if (signal?.aborted) throw error;
        if (isOfToken(error) && token !== undefined && !isRenewed) {
          isRenewed = true;
          await this.#session.renew(token);
          continue;
        }
        if (!isWorthRepeating(error) || attempt >= ATTEMPTS_MAX) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS * attempt));
      }
    }
  }
}

function isOfToken(error: unknown): boolean {
  return error instanceof Refusal && error.status === 401 && error.code.startsWith('AUTH_');
}

/** The connection was lost on the way, or the server asks for another attempt. */
function isWorthRepeating(error: unknown): boolean {
  return error instanceof Refusal ? error.status === 503 : error instanceof TypeError;
}

/** 128 random bits; `crypto.randomUUID` needs a secure context. */
function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
