extension WebFile {
    /// `clients/js/client.d.ts`, put here by `make web`.
    static let clientTypes = WebFile("application/typescript; charset=utf-8", tag: "6df4706ae4b0a63c7d6c") {
        #"""
        // The types of /client.js and /client-shared.js.

        /** The codes of refusals: those of docs/protocol.md, and two of the client itself. */
        export type ErrorCode =
          | "bad-request" | "bad-topic" | "bad-filter" | "unauthenticated" | "forbidden" | "not-found" | "conflict" | "too-large"
          | "limit-exceeded" | "rate-limited" | "internal" | "unavailable" | "storage-full"
          /** The connection was lost before the answer, so the outcome is unknown. Publish with a `key` to avoid this. */
          | "unknown"
          /** The connection or the subscription is closed. */
          | "closed";

        export declare class BrokerError extends Error {
          readonly name: "BrokerError";
          readonly code: ErrorCode;
          constructor(code: ErrorCode, message: string);
        }

        export interface Message<T = unknown> {
          topic: string;
          /** Absent if a value was removed; a Uint8Array if bytes were published. */
          data: T;
          seq: number;
          /** Unix milliseconds at which the broker accepted it. */
          time: number;
          /** The content type. */
          type?: string;
          /** A retained value, sent at the start of a subscription. */
          retained?: true;
          /** A new message that has become the retained value. */
          retain?: true;
          removed?: true;
          expired?: true;
          /** Unix milliseconds. */
          expires?: number;
          headers?: Record<string, string | string[]>;
          replyTo?: string;
          correlation?: string;
        }

        /** Messages after `since` and up to `seq` were not received and will not be. */
        export interface Gap {
          filter: string;
          since: number | string;
          seq?: number;
          /** In a cluster with several partitions, in place of `seq`: up to where in each of them. */
          position?: string;
          /** How many, if that is known. */
          missed?: number;
          /** Those that were shown are in no log of the cluster any more; the values that hold come after it. */
          undone?: boolean;
        }

        export interface Receipt {
          seq: number;
          /** Whether it is on disk. */
          stored: boolean;
        }

        export interface Credentials {
          user: string;
          password: string;
        }

        type Token = string | Credentials;

        export interface ConnectOptions {
          /** A token, or a function that returns one; called when connecting, before the token expires, and once if it is refused. */
          token?: Token | (() => Token | Promise<Token>);
          /** Closes the connection. */
          signal?: AbortSignal;
          /** The maximum length of everything that waits for an answer or a connection, in characters; 8 Mi if absent. */
          queueBytes?: number;
          /** Reads a line of the protocol; `JSON.parse` if absent. */
          parse?(line: string): unknown;
          /** The class to use if there is no global `WebSocket`, such as that of the package `ws`. */
          WebSocket?: new (url: string, protocols: string[]) => unknown;
        }

        export interface SubscribeOptions {
          /** Which messages of the history are sent: a position, "EPOCH-SEQ", "-50" (the last 50 of each topic), "10m", "all" or "latest". */
          since?: number | string;
          /** `false` to skip the retained values at the start. */
          snapshot?: boolean;
          /** `false` to skip the messages that this client publishes. */
          echo?: boolean;
          /** What happens if this client reads too slowly. */
          slow?: "close" | "drop-oldest" | "latest";
          /** How many messages may wait for a slow iterator; 1,000 if absent. Beyond it the oldest are dropped, and `ongap` is called. */
          queue?: number;
          signal?: AbortSignal;
          ongap?(gap: Gap): void;
          /** The subscription was refused, or ended by the broker. */
          onerror?(error: BrokerError): void;
        }

        export interface PublishOptions {
          retain?: boolean;
          /** Seconds. */
          ttl?: number;
          /** Whether the answer waits for the disk. */
          ack?: "routed" | "stored";
          /** The content type. */
          type?: string;
          /** With `retain`: publish only if the value has this `seq`; 0 to publish only if there is none. */
          ifSeq?: number;
          /** Identifies the message if it is sent again after a lost connection; `true` for a random key. */
          key?: string | true;
          headers?: Record<string, string | string[]>;
          replyTo?: string;
          correlation?: string;
          /** A retained value that lives as long as this connection. */
          ephemeral?: boolean;
          /** Seconds that an ephemeral value outlives its connection. */
          grace?: number;
          /** The message that replaces an ephemeral value when its connection ends. */
          farewell?: { data: unknown; encoding?: "base64"; type?: string };
          signal?: AbortSignal;
        }

        export interface RequestOptions extends PublishOptions {
          /** Seconds that the broker waits for the reply; 10 if absent. */
          timeout?: number;
        }

        export interface Subscription<T = unknown> extends AsyncIterable<Message<T>> {
          readonly filter: string;
          /** Resolves when the retained values and the history have arrived. */
          readonly ready: Promise<void>;
          close(): void;
        }

        export interface LiveValues<T = unknown> extends Map<string, T> {
          readonly ready: Promise<void>;
          close(): void;
        }

        export interface Presence<T = unknown> {
          update(data: T): void;
          /** Removes the value, unless it has been replaced, such as by another client. */
          close(): void;
        }

        export type Status = "connecting" | "open" | "waiting" | "closed";

        export interface StatusEvent extends Event {
          readonly status: Status;
          /** With "waiting" and "closed": why the connection ended (docs/protocol.md, close codes). */
          readonly code?: number;
          readonly reason?: string;
          /** With "waiting": milliseconds until the next attempt. */
          readonly retry?: number;
        }

        export interface Broker extends EventTarget {
          readonly status: Status;
          /** The name of the connection, as `brokerctl clients` shows it. */
          readonly client?: string;
          /** The number of the broker's store; with a `seq` it forms a position, "EPOCH-SEQ". */
          readonly epoch: number;
          subscribe<T = unknown>(filter: string, callback: (message: Message<T>) => void, options?: SubscribeOptions): Subscription<T>;
          subscribe<T = unknown>(filter: string, options?: SubscribeOptions): Subscription<T>;
          values<T = unknown>(
            filter: string, changed?: (values: Map<string, T>, message?: Message<T>) => void, options?: SubscribeOptions): LiveValues<T>;
          publish(topic: string, data: unknown, options?: PublishOptions): Promise<Receipt>;
          request<T = unknown>(topic: string, data: unknown, options?: RequestOptions): Promise<Message<T>>;
          reply(message: Message, data: unknown, options?: PublishOptions): Promise<Receipt>;
          presence<T = unknown>(topic: string, data: T, options?: PublishOptions): Presence<T>;
          close(): void;
          addEventListener(type: "status", listener: (event: StatusEvent) => void, options?: AddEventListenerOptions): void;
          addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: AddEventListenerOptions | boolean): void;
        }

        /** Connects to the broker that served the script. */
        export declare function connect(options?: ConnectOptions): Broker;
        /** Connects to the broker at an address such as "https://broker.example.com". */
        export declare function connect(url: string | URL, options?: ConnectOptions): Broker;

        """#
    }
}
