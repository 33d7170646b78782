internal import CLinux
internal import Glibc

extension DrainRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) {
        then(.success(AdminDone()))
        // The first thread takes signals one at a time, and drains at this one.
        kill(getpid(), SIGTERM)
    }
}
