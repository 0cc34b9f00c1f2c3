import type { Schemas } from '@/api'

type Study = Schemas['StudyOut']
export interface StudyState {
  key: 'conflict' | 'held' | 'legal_hold' | 'protected' | 'new'
  tone: 'bad' | 'warning' | 'busy' | 'neutral'
  icon: string
}

/** What is to be said of a study beside its facts, the most urgent first; nothing of one that is settled and free. */
export function statesOf(study: Study): StudyState[] {
  const found: (StudyState | false)[] = [
    study.conflict_count > 0 && { key: 'conflict', tone: 'bad', icon: 'i-lucide-git-compare' },
    study.held === true && { key: 'held', tone: 'warning', icon: 'i-lucide-hand' },
    study.legal_hold === true && { key: 'legal_hold', tone: 'warning', icon: 'i-lucide-gavel' },
    study.protected === true && { key: 'protected', tone: 'neutral', icon: 'i-lucide-shield' },
    !study.settled_at && { key: 'new', tone: 'busy', icon: 'i-lucide-download' },
  ]
  return found.filter((one): one is StudyState => one !== false)
}
