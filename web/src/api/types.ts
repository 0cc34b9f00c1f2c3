import type { components, paths } from './schema'

/** The schemas of docs/openapi.json: `Schemas['StudyOut']`. */
export type Schemas = components['schemas']

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'

type Prefix = '/api/v1'

/** The operation behind a path and a method; never when there is none. */
type OperationAt<P extends string, M extends Method> = `${Prefix}${P}` extends keyof paths
  ? NonNullable<paths[`${Prefix}${P}`][M]>
  : never

/** The paths (without /api/v1) that know a method. */
export type PathsWith<M extends Method> = {
  [K in keyof paths]: K extends `${Prefix}${infer P}` ? (paths[K] extends Record<M, object> ? P : never) : never
}[keyof paths]

type Part<O, K extends string> = O extends { parameters: Record<K, infer V> } ? V : O extends { parameters: Partial<Record<K, infer V>> } ? V : never

type Json<T> = T extends { content: { 'application/json': infer B } } ? B : never

/** What an operation answers when all is well; void without content. */
export type Answer<P extends string, M extends Method> =
  OperationAt<P, M> extends { responses: infer R }
    ? R extends { 200: infer A }
      ? [Json<A>] extends [never] ? void : Json<A>
      : R extends { 201: infer A }
        ? [Json<A>] extends [never] ? void : Json<A>
        : R extends { 202: infer A }
          ? [Json<A>] extends [never] ? void : Json<A>
          : void
    : unknown

type BodyOf<P extends string, M extends Method> =
  OperationAt<P, M> extends { requestBody: infer B } ? Json<B> : OperationAt<P, M> extends { requestBody?: infer B } ? Json<NonNullable<B>> : never

type QueryOf<P extends string, M extends Method> = Part<OperationAt<P, M>, 'query'>
type PathOf<P extends string, M extends Method> = Part<OperationAt<P, M>, 'path'>

type Optionally<K extends string, V> = [V] extends [never] ? Partial<Record<K, never>> : Partial<Record<K, V>>
type Needed<K extends string, V> = [V] extends [never] ? Partial<Record<K, never>> : Record<K, V>

/** What a call takes: the path's words, the query, the body; and a signal to give it up. */
export type CallOptions<P extends string, M extends Method> = Needed<'path', Exclude<PathOf<P, M>, undefined>> &
  Optionally<'query', Exclude<QueryOf<P, M>, undefined>> &
  Needed<'body', BodyOf<P, M>> & { signal?: AbortSignal }

/** Options may be left out where nothing is needed. */
export type CallArguments<P extends string, M extends Method> =
  Record<string, never> extends Omit<CallOptions<P, M>, never>
    ? [options?: CallOptions<P, M>]
    : Partial<CallOptions<P, M>> extends CallOptions<P, M>
      ? [options?: CallOptions<P, M>]
      : [options: CallOptions<P, M>]

/** A page of a list, as every list of the API has it. */
export interface Page<T> {
  items: T[]
  next?: string | null
}
