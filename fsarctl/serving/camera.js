// The browser's camera: opened when it is first wanted, and clips of some seconds of it.

const KINDS = ["video/webm;codecs=vp8", "video/webm", "video/mp4"];

let stream = null;

export const isOn = () => stream !== null;

export async function open(preview) {
  if (stream) return;
  if (!navigator.mediaDevices) {
    throw new Error(
      "The browser gives the camera to pages of https or localhost alone. Choose a clip: a phone then offers to record one.",
    );
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } } });
  } catch (error) {
    const why = { NotAllowedError: "it was not allowed", NotFoundError: "there is none", NotReadableError: "another program has it" };
    throw new Error(`The camera cannot be used: ${why[error.name] || error.message}. Choose a clip instead.`);
  }
  preview.srcObject = stream;
  await preview.play();
}

export function close(preview) {
  for (const track of stream ? stream.getTracks() : []) track.stop();
  stream = null;
  preview.srcObject = null;
}

// A clip of so many seconds, from now on.
export function record(seconds) {
  const kind = KINDS.find((each) => MediaRecorder.isTypeSupported(each));
  const recorder = new MediaRecorder(stream, kind ? { mimeType: kind } : {});
  const parts = [];
  return new Promise((done, failed) => {
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.onstop = () => done(new Blob(parts, { type: recorder.mimeType }));
    recorder.onerror = () => failed(new Error("The camera stopped. Turn it on again."));
    recorder.start();
    setTimeout(() => recorder.state === "recording" && recorder.stop(), 1000 * seconds);
  });
}
