//! `WorkerService`: what the worker is, and the wish that it leave.

use planaria_proto::worker::v1::worker_service_server::WorkerService;
use planaria_proto::worker::v1::{
    DescribeWorkerRequest, DescribeWorkerResponse, DrainRequest, DrainResponse,
};
use planaria_sdk::WorkerHandle;
use tonic::{Request, Response, Status};

pub(crate) struct Api {
    pub(crate) worker: WorkerHandle,
}

#[tonic::async_trait]
impl WorkerService for Api {
    async fn describe_worker(
        &self,
        _: Request<DescribeWorkerRequest>,
    ) -> Result<Response<DescribeWorkerResponse>, Status> {
        let worker = &self.worker;
        Ok(Response::new(DescribeWorkerResponse {
            worker_id: worker.worker_id().to_owned(),
            incarnation: worker.incarnation().to_owned(),
            session_id: worker.session_id().unwrap_or_default(),
            pid: std::process::id(),
            version: worker.version().to_owned(),
            functions: worker.functions(),
            queues: worker.queues().to_vec(),
            capacity: worker.capacity(),
            running: u32::try_from(worker.running()).unwrap_or(u32::MAX),
            draining: worker.is_draining(),
        }))
    }

    async fn drain(&self, _: Request<DrainRequest>) -> Result<Response<DrainResponse>, Status> {
        self.worker.drain();
        Ok(Response::new(DrainResponse {}))
    }
}
