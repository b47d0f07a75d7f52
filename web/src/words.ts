// What the page itself says, in the languages of the exercises.
import { computed, signal } from "@preact/signals";

const EN = {
  exercise: "Exercise", lab: "Lab", terminals: "Terminals", events: "Events", files: "Files",
  steps: "Steps", step: "Step", of: "of", optional: "optional", minutes: "min", back: "Back", next: "Next", finish: "Finish",
  hint: "Hint", hintOf: "Hint {0} of {1}", moreHints: "Next hint", solution: "Solution", checkNow: "Check now",
  reset: "Begin anew", resetSure: "Take away all that the exercise made, and begin anew?", yes: "Yes", no: "No",
  checks: "Checks", done: "Done", found: "found", look: "look",
  run: "Run", runOn: "Run on {0}", edit: "change it first", thisMachine: "this machine", copy: "Copy", copied: "Copied",
  question: "Question", answer: "Answer", right: "Right.", notRight: "Not right.", taken: "labctl is checking it.",
  itIsSo: "Yes, it is so", waitingChecks: "Looking at the lab …", preparing: "The step is being set up …",
  allDone: "All steps are done", tookMinutes: "Minutes: {0}.", tookHints: "Hints: {0}.", noLonger: "No longer as it was", nextOne: "Next exercise",
  map: "Map", nodes: "nodes", ports: "Ports", networks: "Networks", noPorts: "No service publishes a port.", waiting: "No node takes it yet",
  openTerminal: "Terminal", stop: "Stop", start: "Start", kill: "Kill", cut: "Cut off", heal: "Heal", remove: "Remove",
  addNode: "Add a node", menuOf: "What to do with {0}", editFiles: "Files", leader: "leader", manager: "manager", worker: "worker",
  broadcast: "All nodes", broadcastOn: "What you type goes to all nodes", bigger: "Larger text", smaller: "Smaller text",
  reader: "Screen reader mode", theme: "Dark or light", connecting: "connecting", open: "connected",
  away: "The server is away. This page comes back by itself when `labctl web` runs again.",
  refused: "The server does not know this browser: open the address that `labctl web` prints.",
  gone: "The lab was removed.", nodeDown: "the node is down", path: "Path", openFile: "Open", save: "Save", saved: "Saved",
  node: "Node", unsaved: "not saved", folder: "Folder", nothingYet: "Nothing has happened yet.", choose: "Choose a node to open its terminal.",
  anyway: "Do it all the same?", skip: "Skip to the terminal", language: "Language", close: "Close", newShell: "a new shell",
  working: "working …",
};
type Words = typeof EN;

const KO: Words = {
  exercise: "실습", lab: "랩", terminals: "터미널", events: "이벤트", files: "파일",
  steps: "단계", step: "단계", of: "/", optional: "선택", minutes: "분", back: "이전", next: "다음", finish: "마치기",
  hint: "힌트", hintOf: "힌트 {0} / {1}", moreHints: "다음 힌트", solution: "풀이", checkNow: "지금 확인",
  reset: "처음부터", resetSure: "실습에서 만든 것을 모두 지우고 처음부터 시작할까요?", yes: "예", no: "아니요",
  checks: "확인", done: "완료", found: "실제 값", look: "살펴볼 명령",
  run: "실행", runOn: "{0}에서 실행", edit: "먼저 고치세요", thisMachine: "내 컴퓨터", copy: "복사", copied: "복사했습니다",
  question: "질문", answer: "답하기", right: "맞습니다.", notRight: "아닙니다.", taken: "맞는지 곧 확인합니다.",
  itIsSo: "예, 그렇습니다", waitingChecks: "랩을 살펴보는 중 …", preparing: "단계를 준비하는 중 …",
  allDone: "모든 단계를 마쳤습니다", tookMinutes: "걸린 시간 {0}분.", tookHints: "힌트 {0}개.", noLonger: "지금은 달라진 것", nextOne: "다음 실습",
  map: "지도", nodes: "노드", ports: "포트", networks: "네트워크", noPorts: "공개된 포트가 없습니다.", waiting: "아직 맡은 노드가 없음",
  openTerminal: "터미널", stop: "멈추기", start: "시작", kill: "강제 종료", cut: "네트워크 끊기", heal: "복구", remove: "제거",
  addNode: "노드 추가", menuOf: "{0}에 할 일", editFiles: "파일", leader: "리더", manager: "매니저", worker: "워커",
  broadcast: "모든 노드", broadcastOn: "입력한 내용이 모든 노드로 갑니다", bigger: "글자 크게", smaller: "글자 작게",
  reader: "화면 읽기 모드", theme: "어둡게 또는 밝게", connecting: "연결하는 중", open: "연결됨",
  away: "서버에 연결할 수 없습니다. `labctl web`을 다시 실행하면 저절로 이어집니다.",
  refused: "서버가 이 브라우저를 모릅니다. `labctl web`이 출력한 주소를 여세요.",
  gone: "랩이 제거되었습니다.", nodeDown: "노드가 꺼져 있습니다", path: "경로", openFile: "열기", save: "저장", saved: "저장했습니다",
  node: "노드", unsaved: "저장 안 됨", folder: "폴더", nothingYet: "아직 아무 일도 없습니다.", choose: "노드를 골라 터미널을 여세요.",
  anyway: "그래도 할까요?", skip: "터미널로 건너뛰기", language: "언어", close: "닫기", newShell: "새 셸",
  working: "진행 중 …",
};

export const language = signal(navigator.language.startsWith("ko") ? "ko" : "en");
export const words = computed<Words>(() => (language.value === "ko" ? KO : EN));

export function filled(text: string, ...values: (string | number)[]): string {
  return text.replace(/\{(\d)\}/g, (_, number: string) => String(values[Number(number)] ?? ""));
}
